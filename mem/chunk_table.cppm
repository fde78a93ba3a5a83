// SPDX-License-Identifier: Apache-2.0
module;
#include <atomic>
#include <cstddef>
#include <cstdint>

export module strata.mem:chunk_table;

import :bytes;

/// Which chunks there are: by number and by address, in constant time, while chunks are added.
///
/// Chunks are all of one size, a power of two, and aligned to it, so that a mask of an address finds where its chunk
/// would start. That address is looked up; what lies there is not touched, so any pointer may be asked about.
///
///   table   | head | chunk by number: capacity | number by hash of address: 2 × capacity |
///
/// The first table lies in the object. One that is full is copied into one of twice the capacity, in memory from the
/// caller; it stays readable until clear(), as others may be reading it. All of them together take less than twice the
/// last.
///
/// Readers from any thread, never waiting; one writer at a time. Nothing throws or allocates.
export namespace strata::mem {

class chunk_table {
 public:
  static constexpr std::uint32_t none = 0xFFFF'FFFF;

  /// Pre: `chunk_bytes` is a power of two.
  explicit chunk_table(std::size_t chunk_bytes) noexcept;
  chunk_table(const chunk_table&) = delete;
  chunk_table& operator=(const chunk_table&) = delete;

  /// Pre: the caller knows `number` from a chunk that was added.
  [[nodiscard]] inline std::byte* chunk(std::uint32_t number) const noexcept {
    return table_.load(std::memory_order_acquire)->chunks()[number].load(std::memory_order_relaxed);
  }

  /// Number of the chunk that `p` points into, or none.
  [[nodiscard]] inline std::uint32_t find(const void* p) const noexcept {
    const std::uintptr_t base = round_down(address(p), chunk_bytes_);
    const table* const t = table_.load(std::memory_order_acquire);
    for (std::uint32_t at = t->home(base);; at = (at + 1) & t->mask()) {
      const std::uint32_t entry = t->entries()[at].load(std::memory_order_acquire);
      if (entry == 0) return none;
      if (address(t->chunks()[entry - 1].load(std::memory_order_relaxed)) == base) return entry - 1;
    }
  }

  [[nodiscard]] inline std::uint32_t count() const noexcept { return count_.load(std::memory_order_acquire); }
  /// Bytes of all tables the caller brought.
  [[nodiscard]] inline std::size_t table_bytes() const noexcept { return bytes_.load(std::memory_order_relaxed); }

  // For the writer.

  /// Bytes of a table to bring, aligned as any object, before the next add(); 0 when there is room.
  [[nodiscard]] std::size_t wanted() const noexcept;
  void grow(void* memory, std::size_t bytes) noexcept;  ///< Pre: `bytes` was wanted.
  std::uint32_t add(void* chunk) noexcept;              ///< Returns its number. Pre: nothing is wanted.

  /// A table the caller brought, newest first; null when there are no more.
  struct brought {
    void* memory;
    std::size_t bytes;
  };
  /// Hands one table back. Pre: no other call is under way, nor will be, but this one and ~.
  [[nodiscard]] brought remove_table() noexcept;

 private:
  static constexpr std::uint32_t first_capacity = 8;
  static constexpr std::size_t chunk_entry_bytes =
      sizeof(std::atomic<std::byte*>) + 2 * sizeof(std::atomic<std::uint32_t>);

  struct alignas(std::max_align_t) table {
    table* older;
    std::uint32_t capacity;
    std::uint32_t bits;  ///< log2 of the number of entries

    [[nodiscard]] inline std::uint32_t mask() const noexcept { return 2 * capacity - 1; }
    [[nodiscard]] inline std::uint32_t home(std::uintptr_t base) const noexcept {
      const std::uint64_t hash = std::uint64_t{base} * 0x9E37'79B9'7F4A'7C15U;  // Fibonacci hashing (Knuth)
      return static_cast<std::uint32_t>(hash >> (64 - bits));
    }
    [[nodiscard]] inline std::atomic<std::byte*>* chunks() const noexcept {
      return at<std::atomic<std::byte*>>(const_cast<table*>(this), sizeof(table));
    }
    [[nodiscard]] inline std::atomic<std::uint32_t>* entries() const noexcept {
      return at<std::atomic<std::uint32_t>>(chunks() + capacity, 0);
    }
    void format(std::uint32_t slots, table* before) noexcept;
    void enter(std::uint32_t number, std::byte* chunk) noexcept;
  };
  [[nodiscard]] static inline constexpr std::size_t bytes_for(std::size_t capacity) noexcept {
    return sizeof(table) + capacity * chunk_entry_bytes;
  }

  const std::size_t chunk_bytes_;
  std::atomic<table*> table_;
  std::atomic<std::uint32_t> count_{0};
  std::atomic<std::size_t> bytes_{0};
  alignas(table) std::byte first_[sizeof(table) + first_capacity * chunk_entry_bytes];
};

}  // namespace strata::mem
