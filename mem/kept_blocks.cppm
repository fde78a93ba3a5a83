// SPDX-License-Identifier: Apache-2.0
module;
#include <array>
#include <cstddef>
#include <cstdint>

export module strata.mem:kept_blocks;

import :block;

/// Small blocks of a heap that were taken back and wait, whole, for a request of their size: a list for each size, last
/// in, first out (quick lists: Weinstock and Wulf 1988; Plan 9 and dlmalloc join at once, dlmalloc's fastbins do not).
///
/// A load that replaces blocks by others of like sizes is served from here without a look at any neighbour. A list holds
/// at most `most_bytes` and `most_blocks`, so all of them together hold at most half a mebibyte in a thousand blocks.
///
/// Nothing throws or allocates; one thread at a time; O(1) but for_each().
export namespace strata::mem {

// A heap's words may lie in hidden memory (:inspector), where none but the heap looks.
#pragma clang attribute push(__attribute__((no_sanitize("address"))), apply_to = function)

class kept_blocks {
 public:
  static constexpr std::size_t largest = 1024;  ///< bytes of a block, its word included
  static constexpr std::size_t most_blocks = 32;
  static constexpr std::size_t most_bytes = 8192;

  /// Blocks larger than `up_to` bytes find no room here; 0: none do.
  explicit inline kept_blocks(std::size_t up_to) noexcept {
    for (std::size_t size = block::smallest; size <= largest && size <= up_to; size += block::unit) {
      const std::size_t fit = most_bytes / size;
      room_[size / block::unit] = static_cast<std::uint8_t>(fit < most_blocks ? fit : most_blocks);
    }
  }
  kept_blocks(const kept_blocks&) = delete;
  kept_blocks& operator=(const kept_blocks&) = delete;

  [[nodiscard]] inline bool has_room(std::size_t size) const noexcept {
    return size <= largest && room_[size / block::unit] != 0;
  }

  /// Pre: has_room(b->size()), and the block says that it is kept.
  inline void push(block* b, std::size_t size) noexcept {
    const std::size_t list = size / block::unit;
    b->next = heads_[list];
    heads_[list] = b;
    --room_[list];
    ++count_;
  }

  /// The block of exactly `size` bytes that came last, or null. Pre: size <= largest.
  [[nodiscard]] inline block* pop(std::size_t size) noexcept {
    const std::size_t list = size / block::unit;
    block* const b = heads_[list];
    if (b == nullptr) return nullptr;
    heads_[list] = b->next;
    ++room_[list];
    --count_;
    return b;
  }

  [[nodiscard]] inline std::size_t count() const noexcept { return count_; }

  /// Head of the list of blocks of `list` units. Pre: list < lists.
  [[nodiscard]] inline const block* head(std::size_t list) const noexcept { return heads_[list]; }
  static constexpr std::size_t lists = largest / block::unit + 1;

  /// Forgets all blocks.
  inline void clear() noexcept {
    for (std::size_t list = 0; list < lists; ++list) {
      while (pop(list * block::unit) != nullptr) continue;
    }
  }

 private:
  std::array<block*, lists> heads_{};
  std::array<std::uint8_t, lists> room_{};  ///< blocks that may still be pushed to each list
  std::size_t count_ = 0;
};

#pragma clang attribute pop

}  // namespace strata::mem
