// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <cstdint>

export module strata.mem:placement;

/// Where a block may start that is bound to a residue and must not cross a border (Plan 9's poolallocalign).
///
///   p mod align == offset mod align        unless align is 0
///   p mod unit == 0
///   [p, p + size) within one multiple of span, unless span or size is 0
///
/// Any integers, not only powers of two; a negative offset counts from the next multiple down. The places are found by
/// arithmetic, in O(log span) divisions: see the .cc. Nothing wraps, whatever the numbers.
export namespace strata::mem {

class placement {
 public:
  /// What is asked for. All in bytes.
  struct request {
    std::size_t size = 0;
    std::size_t align = 0;      ///< 0: anywhere
    std::ptrdiff_t offset = 0;  ///< of no account when align is 0
    std::size_t span = 0;       ///< 0: no borders
  };

  /// Pre: `unit` is at least 1, and small: up to so many additions are spent on it.
  explicit placement(const request& r, std::size_t unit = 1) noexcept;

  /// Whether there is any place at all, in a memory without ends.
  [[nodiscard]] inline bool possible() const noexcept { return possible_; }

  /// The lowest place in [lo, hi) into `place`; false, with `place` unspecified, when there is none.
  [[nodiscard]] bool lowest(std::uintptr_t lo, std::uintptr_t hi, std::uintptr_t& place) const noexcept;

  /// Every range of so many bytes has a place; SIZE_MAX when that is not sure of any. Pre: possible().
  [[nodiscard]] std::size_t reach() const noexcept;

 private:
  __extension__ using wide = unsigned __int128;

  [[nodiscard]] bool steps_to(std::size_t from, std::size_t room, wide& steps) const noexcept;

  wide step_ = 1;         ///< places that have the residue lie so far apart …
  wide rest_ = 0;         ///< … and start here
  std::size_t size_;      ///< bytes of the block
  std::size_t span_;      ///< 0 where borders are of no account
  std::size_t turn_ = 0;  ///< step_ mod span_
  std::size_t room_ = 0;  ///< largest p mod span_ that keeps clear of the border
  bool possible_ = false;
};

}  // namespace strata::mem
