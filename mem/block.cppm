// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <cstdint>

export module strata.mem:block;

import :bytes;

/// A block of a boundary-tag heap (Knuth 1962; Plan 9 pool, dlmalloc): its size stands at its start and, while it is
/// free, at its end too, so that both neighbours are found by arithmetic.
///
///          +0       +8                                          size
///   used   | word   | payload ............................... | word of the next block
///   free   | word   | next   | prev   | (untouched) ... | size | word of the next block
///
///   word = seal:16 | size/16:44 | flags:4
///
/// The seal binds the word to its address and to a key of the heap. An overwritten word, a pointer that was never
/// handed out and a word copied from elsewhere are recognised, but for one chance in 65 536.
export namespace strata::mem {

struct block {
  static constexpr std::uint64_t used = 1;  ///< handed out
  static constexpr std::uint64_t prev_used =
      2;  ///< the block below is handed out (or there is none): no size stands in front of us
  static constexpr std::uint64_t first = 4;  ///< lowest block of its region
  static constexpr std::uint64_t flags = 15;
  static constexpr std::uint64_t seal_mask = 0xFFFF'0000'0000'0000U;
  static constexpr std::uint64_t size_mask = ~(seal_mask | flags);

  static constexpr std::size_t unit = 16;      ///< sizes are multiples of this; payloads are aligned to it
  static constexpr std::size_t overhead = 8;   ///< bytes of a used block that are not payload
  static constexpr std::size_t smallest = 32;  ///< word, two links, size at the end

  std::uint64_t word;
  block* next;  ///< free only: same list of the index
  block* prev;  ///< free only

  [[nodiscard]] inline std::size_t size() const noexcept { return word & size_mask; }
  [[nodiscard]] inline bool is_used() const noexcept { return (word & used) != 0; }
  [[nodiscard]] inline bool is_prev_used() const noexcept { return (word & prev_used) != 0; }
  [[nodiscard]] inline bool is_first() const noexcept { return (word & first) != 0; }

  /// Ends a region: size 0, never free.
  [[nodiscard]] inline bool is_sentinel() const noexcept { return size() == 0; }

  [[nodiscard]] inline void* payload() noexcept { return &next; }
  [[nodiscard]] inline const void* payload() const noexcept { return &next; }
  [[nodiscard]] static inline block* of(void* payload) noexcept { return at<block>(payload, -8); }
  [[nodiscard]] static inline const block* of(const void* payload) noexcept { return at<block>(payload, -8); }

  [[nodiscard]] inline block* above() noexcept { return at<block>(this, static_cast<std::ptrdiff_t>(size())); }
  [[nodiscard]] inline const block* above() const noexcept {
    return at<block>(this, static_cast<std::ptrdiff_t>(size()));
  }

  /// Size of the free block below. Pre: !is_prev_used().
  [[nodiscard]] inline std::size_t size_below() const noexcept { return *at<std::size_t>(this, -8); }
  [[nodiscard]] inline block* below() noexcept { return at<block>(this, -static_cast<std::ptrdiff_t>(size_below())); }

  /// Pre: free.
  inline void write_size_at_end() noexcept { *at<std::size_t>(above(), -8) = size(); }
  [[nodiscard]] inline std::size_t size_at_end() const noexcept { return *at<std::size_t>(above(), -8); }

  inline void write(std::size_t size, std::uint64_t with, std::uint64_t key) noexcept {
    word = sealed(size | with, key);
  }
  inline void set(std::uint64_t flag, std::uint64_t key) noexcept { word = sealed((word & ~seal_mask) | flag, key); }
  inline void clear(std::uint64_t flag, std::uint64_t key) noexcept { word = sealed((word & ~seal_mask) & ~flag, key); }

  [[nodiscard]] inline bool is_sealed(std::uint64_t key) const noexcept {
    return word == sealed(word & ~seal_mask, key);
  }

 private:
  /// The high bits of a product depend on every bit below: one multiplication makes a seal.
  [[nodiscard]] inline std::uint64_t sealed(std::uint64_t body, std::uint64_t key) const noexcept {
    return body | (((body ^ address(this) ^ key) * 0x9E37'79B9'7F4A'7C15U) & seal_mask);
  }
};

static_assert(sizeof(block) == 24);

}  // namespace strata::mem
