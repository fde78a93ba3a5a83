// SPDX-License-Identifier: Apache-2.0
module;
#include <atomic>
#include <cstddef>
#include <cstdint>

export module strata.mem:slot_pool;

import :bytes;
import :chunk_table;
import :lifo;

/// Slots of one size for any thread, out of chunks that the caller brings: a free slot is a number in a lifo.
///
///   chunk   | number | link words: one a slot | … | slot | slot | … |      a power of two, aligned to its size
///
/// Nothing is ever written into a slot. A slot's link word says whether it is out, so a slot that comes back twice is
/// noticed, and chunks are found by address, so a pointer that is no slot is noticed without touching what it points
/// to.
///
/// Any thread, but add(), which is for one at a time, and remove_chunk(). Nothing throws, allocates, locks or waits.
export namespace strata::mem {

/// How slots lie in a chunk; sizes in bytes.
struct slot_shape {
  std::size_t slot_bytes = 0;     ///< distance of slots
  std::size_t chunk_bytes = 0;    ///< a power of two
  std::size_t first = 0;          ///< offset of the first slot
  std::uint32_t slots = 0;        ///< in a chunk; 0: such slots cannot be
  std::uint32_t number_bits = 0;  ///< of a slot's number, those that count within the chunk

  /// Slots of `bytes` aligned to `alignment`, a power of two, at least `least` in a chunk, which is at least
  /// `chunk_bytes`.
  [[nodiscard]] static slot_shape of(std::size_t bytes, std::size_t alignment, std::size_t chunk_bytes,
                                     std::uint32_t least) noexcept;
};

enum class slot_fault : std::uint8_t {
  none,
  foreign,       ///< the address is in no chunk
  not_a_slot,    ///< it is in a chunk, but not where a slot starts
  already_free,  ///< the slot is not out
};

[[nodiscard]] const char* describe(slot_fault fault) noexcept;

class slot_pool {
  /// Where the lifo finds a number's link word.
  struct link_words {
    const slot_pool* pool;
    [[nodiscard]] inline lifo<>::link& operator()(std::uint32_t n) const noexcept {
      return link(pool->chunk_of(n), n & pool->slot_mask());
    }
  };
  [[nodiscard]] inline link_words links() const noexcept { return {this}; }

 public:
  explicit slot_pool(const slot_shape& shape) noexcept : shape_(shape), chunks_(shape.chunk_bytes) {}

  /// A slot, or null when none is free.
  [[nodiscard]] inline void* take() noexcept {
    const std::uint32_t n = free_.pop(links());
    if (n == lifo<>::none) return nullptr;
    count_taken();
    return slot(n);
  }

  [[nodiscard]] inline slot_fault put(void* p) noexcept {
    std::uint32_t n = 0;
    if (const slot_fault fault = locate(p, n); fault != slot_fault::none) return fault;
    if (!free_.push(links(), n)) return slot_fault::already_free;
    put_.fetch_add(1, std::memory_order_relaxed);
    return slot_fault::none;
  }

  /// What put(p) would find.
  [[nodiscard]] slot_fault inspect(const void* p) const noexcept;

  /// Whether there can be one more chunk.
  [[nodiscard]] bool may_add() const noexcept;
  /// Makes slots of a chunk; takes and returns one of them if `take_one`. Pre: may_add(), nothing is wanted() by the
  /// table.
  void* add(void* memory, bool take_one) noexcept;

  /// Hands a chunk back, slots out or not; null when there is none left. Pre: no other call is under way or to come but
  /// this.
  [[nodiscard]] void* remove_chunk() noexcept;

  /// Why chunks and link words contradict one another, or null. O(slots).
  [[nodiscard]] const char* check() const noexcept;

  [[nodiscard]] inline const slot_shape& shape() const noexcept { return shape_; }
  [[nodiscard]] inline chunk_table& chunks() noexcept { return chunks_; }
  [[nodiscard]] inline const chunk_table& chunks() const noexcept { return chunks_; }

  struct figures {
    std::size_t slots;  ///< in all chunks
    std::size_t out;    ///< of which are taken
    std::size_t peak;   ///< highest `out` so far
    std::size_t taken;  ///< how often one was taken
  };
  /// Each right at some moment; all at the same when no call is under way.
  [[nodiscard]] figures count() const noexcept;

 private:
  [[nodiscard]] static inline lifo<>::link& link(std::byte* chunk, std::uint32_t slot) noexcept {
    return at<lifo<>::link>(chunk, sizeof(std::uint32_t))[slot];
  }
  [[nodiscard]] inline std::uint32_t slot_mask() const noexcept { return (std::uint32_t{1} << shape_.number_bits) - 1; }
  [[nodiscard]] inline std::byte* chunk_of(std::uint32_t n) const noexcept {
    return chunks_.chunk(n >> shape_.number_bits);
  }
  [[nodiscard]] inline void* slot(std::uint32_t n) const noexcept {
    return chunk_of(n) + shape_.first + (n & slot_mask()) * shape_.slot_bytes;
  }
  [[nodiscard]] inline slot_fault locate(const void* p, std::uint32_t& n) const noexcept {
    const std::uint32_t chunk = chunks_.find(p);
    if (chunk == chunk_table::none) return slot_fault::foreign;
    const std::size_t offset = (address(p) & (shape_.chunk_bytes - 1)) - shape_.first;  // wraps in front of the first
    // Chunks are smaller than 4 GiB: dividing 32 bits is half the work.
    const auto i = static_cast<std::uint32_t>(offset & 0xFFFF'FFFFU) / static_cast<std::uint32_t>(shape_.slot_bytes);
    if (offset != i * shape_.slot_bytes || i >= shape_.slots) return slot_fault::not_a_slot;
    n = (chunk << shape_.number_bits) | i;
    return slot_fault::none;
  }
  inline void count_taken() noexcept {
    const std::size_t taken = taken_.fetch_add(1, std::memory_order_relaxed) + 1;
    const std::size_t back = put_.load(std::memory_order_relaxed);
    const std::size_t out = taken - (back < taken ? back : taken);
    std::size_t peak = peak_.load(std::memory_order_relaxed);
    while (out > peak && !peak_.compare_exchange_weak(peak, out, std::memory_order_relaxed)) {
    }
  }

  const slot_shape shape_;
  chunk_table chunks_;
  std::uint32_t removed_ = 0;
  alignas(64) lifo<> free_;
  std::atomic<std::size_t> taken_{0};
  std::atomic<std::size_t> put_{0};
  std::atomic<std::size_t> peak_{0};
};

}  // namespace strata::mem
