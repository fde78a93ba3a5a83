// SPDX-License-Identifier: Apache-2.0
module;
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

export module strata.mem:free_index;

import :block;
import :bytes;

/// Free blocks by size, found in constant time: lists in two levels with a bit for each list that is not empty
/// (TLSF: Masmano, Ripoll, Crespo, Real 2004).
///
/// Level 0 has one list for each size below 512 bytes, so those fit exactly. Above, each power of two is cut into 32
/// lists; a request looks at the first few blocks of its own list, where some are too small, then takes from the next
/// list that has any, where all are large enough. So a fit wastes at most 1/32 more than the best one would, and
/// nothing here depends on how many blocks there are.
export namespace strata::mem {

// A heap's words may lie in hidden memory (:inspector), where none but the heap looks.
#pragma clang attribute push(__attribute__((no_sanitize("address"))), apply_to = function)

class free_index {
 public:
  static constexpr std::size_t lists_per_level = 32;
  static constexpr std::size_t exact_below = lists_per_level * block::unit;
  static constexpr std::size_t levels = 39;
  static constexpr std::size_t max_size = std::size_t{1} << 46;  ///< bytes; sizes are below this

  /// Blocks looked at in a list that may hold blocks too small. Keeps the cost constant and finds most of the good
  /// fits.
  static constexpr int probes = 8;

  free_index() = default;
  free_index(const free_index&) = delete;
  free_index& operator=(const free_index&) = delete;

  /// Pre: `b` is free, in no list, block::smallest <= b->size() < max_size.
  inline void insert(block* b) noexcept {
    const std::size_t list = list_of(b->size());
    block* const head = heads_[list];
    b->prev = nullptr;
    b->next = head;
    if (head != nullptr) head->prev = b;
    heads_[list] = b;
    lists_[list / lists_per_level] |= bit(list);
    levels_ |= std::uint64_t{1} << (list / lists_per_level);
  }

  /// Pre: `b` is in the list of its size.
  inline void remove(block* b) noexcept {
    if (b->next != nullptr) b->next->prev = b->prev;
    if (b->prev != nullptr) {
      b->prev->next = b->next;
      return;
    }
    const std::size_t list = list_of(b->size());
    heads_[list] = b->next;
    if (b->next != nullptr) return;
    const std::size_t level = list / lists_per_level;
    lists_[level] &= ~bit(list);
    if (lists_[level] == 0) levels_ &= ~(std::uint64_t{1} << level);
  }

  /// Returns a block of at least `size` bytes, still in its list, or null. Pre: size < max_size.
  [[nodiscard]] inline block* find(std::size_t size) const noexcept {
    const std::size_t list = list_of(size);
    block* candidate = heads_[list];
    if (size < exact_below) {
      if (candidate != nullptr) return candidate;
    } else {
      for (int i = 0; i < probes && candidate != nullptr; ++i, candidate = candidate->next) {
        if (candidate->size() >= size) return candidate;
      }
    }
    std::size_t level = list / lists_per_level;
    // Bits above our own; shifting in two steps keeps the last list of a level from shifting by the whole width.
    std::uint32_t lists = lists_[level] & ((~std::uint32_t{0} << (list % lists_per_level)) << 1);
    if (lists == 0) {
      const std::uint64_t above = levels_ & ((~std::uint64_t{0} << level) << 1);
      if (above == 0) return nullptr;
      level = static_cast<std::size_t>(std::countr_zero(above));
      lists = lists_[level];
    }
    return heads_[level * lists_per_level + static_cast<std::size_t>(std::countr_zero(lists))];
  }

  /// Head of the last list that has any: the largest free block is in it. Null when nothing is free.
  [[nodiscard]] inline block* largest() const noexcept {
    if (levels_ == 0) return nullptr;
    const std::size_t level = log2_floor(levels_);
    return heads_[level * lists_per_level + log2_floor(lists_[level])];
  }

  /// Head of list number `list`, for whoever checks or counts. Pre: list < list_count.
  [[nodiscard]] inline const block* head(std::size_t list) const noexcept { return heads_[list]; }

  /// Whether the bits say that list number `list` has blocks.
  [[nodiscard]] inline bool marked(std::size_t list) const noexcept {
    return (levels_ >> (list / lists_per_level) & 1) != 0 && (lists_[list / lists_per_level] & bit(list)) != 0;
  }

  inline void clear() noexcept {
    heads_.fill(nullptr);
    lists_.fill(0);
    levels_ = 0;
  }

  /// The list a block of `size` bytes belongs to.
  [[nodiscard]] static inline std::size_t list_of(std::size_t size) noexcept {
    if (size < exact_below) return size / block::unit;
    const unsigned log = log2_floor(size);
    constexpr unsigned exact_log = log2_floor(exact_below);
    constexpr unsigned sub_log = log2_floor(lists_per_level);
    return (std::size_t{log} - exact_log + 1) * lists_per_level + ((size >> (log - sub_log)) & (lists_per_level - 1));
  }

  static constexpr std::size_t list_count = levels * lists_per_level;

 private:
  [[nodiscard]] static inline std::uint32_t bit(std::size_t list) noexcept {
    return std::uint32_t{1} << (list % lists_per_level);
  }

  std::array<block*, list_count> heads_{};  ///< last in, first out: what was freed last is still in the cache
  std::array<std::uint32_t, levels>
      lists_{};               ///< bit s of lists_[l] is set exactly when heads_[l * 32 + s] is not null
  std::uint64_t levels_ = 0;  ///< bit l is set exactly when lists_[l] is not 0
};

#pragma clang attribute pop

}  // namespace strata::mem
