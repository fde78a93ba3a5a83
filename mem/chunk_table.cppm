// SPDX-License-Identifier: Apache-2.0
module;
#include <atomic>
#include <cstddef>
#include <cstdint>

export module strata.mem:chunk_table;

import :bytes;

/// Which chunks there are: by number and by address, in constant time, while chunks come and go.
///
/// Chunks are all of one size, a power of two, and aligned to it, so that a mask of an address finds where its chunk
/// would start. That address is looked up; what lies there is not touched, so any pointer may be asked about. Beside
/// each number lies something of the caller's, which stays when its chunk goes: a number is used again.
///
///   table   | head | chunk and aside by number: capacity | address, aside and number by hash of address: 4 × capacity
///           |
///
/// The first table lies in the object. One that is full is copied into one of twice the capacity, in memory from the
/// caller; it stays readable until the end, as others may be reading it. All of them together take less than twice the
/// last.
///
/// Readers from any thread, never waiting; one writer at a time. Nothing throws or allocates. A child of fork() can go on
/// whatever the writer was at: at worst it does not know a chunk that was being added.
export namespace strata::mem {

class chunk_table {
 public:
  static constexpr std::uint32_t none = 0xFFFF'FFFF;

  /// Pre: `chunk_bytes` is a power of two.
  explicit chunk_table(std::size_t chunk_bytes) noexcept;
  chunk_table(const chunk_table&) = delete;
  chunk_table& operator=(const chunk_table&) = delete;

  struct record {
    std::atomic<std::byte*> chunk;  ///< null: none has this number now
    std::atomic<void*> aside;
    std::uint32_t tally;  ///< for the writer to count with; 0 when a chunk comes
  };

  /// Pre: the caller knows `number` from a chunk that was added.
  [[nodiscard]] inline const record& at(std::uint32_t number) const noexcept {
    return table_.load(std::memory_order_acquire)->records()[number];
  }

  /// What is known of a chunk by its address.
  struct entry {
    std::atomic<std::uintptr_t> key;  ///< one more than the address; or empty, or removed
    std::atomic<void*> aside;
    std::atomic<std::uint32_t> number;
  };

  /// The chunk that `p` points into, if that is easily found; null when it is not, or there is none.
  [[nodiscard]] inline const entry* find_easily(const void* p) const noexcept {
    const std::uintptr_t base = round_down(address(p), chunk_bytes_);
    const table* const t = table_.load(std::memory_order_acquire);
    const entry& e = t->entries()[t->home(base)];
    return e.key.load(std::memory_order_acquire) == key_of(base) ? &e : nullptr;
  }
  /// The chunk that `p` points into; null when it points into none.
  [[nodiscard]] const entry* find(const void* p) const noexcept;

  /// Numbers in use, or used before: all are below this.
  [[nodiscard]] inline std::uint32_t numbers() const noexcept { return numbers_.load(std::memory_order_acquire); }
  /// Chunks there are. O(numbers).
  [[nodiscard]] std::uint32_t count() const noexcept;

  // For the writer.

  [[nodiscard]] inline std::uint32_t& tally(std::uint32_t number) noexcept {
    return table_.load(std::memory_order_relaxed)->records()[number].tally;
  }

  /// A number without a chunk, which add() will use, or none: then it will use the next, numbers().
  [[nodiscard]] std::uint32_t vacant() const noexcept;

  /// Bytes of a table to bring, aligned as any object, before the next add(); 0 when there is room.
  [[nodiscard]] std::size_t wanted() const noexcept;
  void grow(void* memory) noexcept;  ///< Pre: as many bytes as were wanted.

  /// Returns its number. `aside` is for a number never used before. Pre: nothing is wanted.
  std::uint32_t add(void* chunk, void* aside) noexcept;
  /// Forgets the chunk of a number. Pre: it has one.
  void remove(std::uint32_t number) noexcept;

  /// A table the caller brought, newest first; null when there are no more.
  struct brought {
    void* memory;
    std::size_t bytes;
  };
  /// Hands one table back; with the last, all is forgotten. Pre: no other call is under way.
  [[nodiscard]] brought clear() noexcept;

 private:
  static constexpr std::uint32_t first_capacity = 8;
  static constexpr std::uintptr_t empty = 0;
  static constexpr std::uintptr_t removed = ~std::uintptr_t{0};
  [[nodiscard]] static inline constexpr std::uintptr_t key_of(std::uintptr_t base) noexcept { return base + 1; }
  static constexpr std::size_t bytes_each = sizeof(record) + 4 * sizeof(entry);

  struct alignas(std::max_align_t) table {
    table* older;
    std::uint32_t capacity;
    std::uint32_t shift;  ///< leaves as many bits of a hash as number the entries

    [[nodiscard]] inline std::size_t mask() const noexcept { return std::size_t{4} * capacity - 1; }
    [[nodiscard]] inline std::size_t home(std::uintptr_t base) const noexcept {
      const std::uint64_t hash = std::uint64_t{base} * 0x9E37'79B9'7F4A'7C15U;  // Fibonacci hashing (Knuth)
      return static_cast<std::size_t>(hash >> shift);
    }
    [[nodiscard]] inline entry* entries() const noexcept {
      return mem::at<entry>(const_cast<table*>(this), sizeof(table));
    }
    [[nodiscard]] inline record* records() const noexcept { return mem::at<record>(entries() + mask() + 1, 0); }
    void format(std::uint32_t slots, table* before) noexcept;
    void enter(std::uint32_t number, std::byte* chunk, void* aside) noexcept;
  };
  [[nodiscard]] static inline constexpr std::size_t bytes_for(std::size_t capacity) noexcept {
    return sizeof(table) + capacity * bytes_each;
  }

  const std::size_t chunk_bytes_;
  std::atomic<table*> table_;
  std::atomic<std::uint32_t> numbers_{0};
  std::uint32_t lowest_vacant_ = 0;  ///< no number below it is vacant
  alignas(table) std::byte first_[sizeof(table) + first_capacity * bytes_each];
};

}  // namespace strata::mem
