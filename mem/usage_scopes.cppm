// SPDX-License-Identifier: Apache-2.0
module;
#include <array>
#include <cstddef>

export module strata.mem:usage_scopes;

import :sampling_meter;

/// What came and went between two moments, and how much was live at most: scopes, one inside the other.
///
/// Whoever owns it brings the counts of that moment with every call. The highest live since a scope began is noted for
/// the innermost one alone; the others learn of it when that ends.
///
/// One thread at a time; nothing throws or allocates; O(1).
export namespace strata::mem {

/// A scope that ended.
struct scope_usage {
  std::size_t allocations = 0;       ///< within
  std::size_t deallocations = 0;     ///< within, also of blocks that were there before
  std::size_t allocated = 0;         ///< bytes
  std::size_t deallocated = 0;       ///< bytes
  std::ptrdiff_t live_blocks = 0;    ///< more than at the beginning
  std::ptrdiff_t live = 0;           ///< bytes more than at the beginning
  std::size_t peak = 0;              ///< bytes: the highest, of all that is live
  std::size_t peak_above_start = 0;  ///< bytes that `peak` is above what was live at the beginning
};

class usage_scopes {
 public:
  static constexpr std::size_t deepest = 64;  ///< scopes, one inside the other

  [[nodiscard]] inline std::size_t depth() const noexcept { return depth_; }
  [[nodiscard]] inline bool is_full() const noexcept { return depth_ == deepest; }

  /// Notes how much is live.
  inline void note(std::size_t live) noexcept {
    if (live > scopes_[depth_].peak) scopes_[depth_].peak = live;
  }

  /// Begins a scope. Pre: !is_full().
  void push(const metered& now) noexcept;
  /// Ends the innermost one. Pre: depth() > 0.
  [[nodiscard]] scope_usage pop(const metered& now) noexcept;

  /// The highest live ever noted.
  [[nodiscard]] std::size_t peak() const noexcept;

 private:
  struct scope {
    metered start;
    std::size_t peak = 0;  ///< of this scope, less what scopes inside noted that have not ended
  };
  std::array<scope, deepest + 1> scopes_{};  ///< the first is the whole time
  std::size_t depth_ = 0;
};

}  // namespace strata::mem
