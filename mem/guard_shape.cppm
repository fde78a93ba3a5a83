// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <cstdint>

export module strata.mem:guard_shape;

import :bytes;

/// Where a block lies between two guards.
///
///   | guard | ………… slack | block | s | guard |     end: the block ends at the guard, as far as its alignment lets it
///   | guard | block | slack ………… |     guard |     start: it begins at the guard
///                                                      either guard may be left out
///
/// A guard is one page. A block aligned to more than that begins at its guard, whatever is wanted, since it cannot be moved
/// within its pages; what its alignment leaves in front of that guard is nobody's. One of no bytes lies on the guard
/// behind it, where there is one.
///
/// Pure arithmetic; says when it would wrap.
export namespace strata::mem {

enum class guard_edge : std::uint8_t {
  end,    ///< overruns are caught at the first byte
  start,  ///< underruns are
};

struct guard_sides {
  bool before = true;
  bool after = true;
  guard_edge tight = guard_edge::end;
};

/// Bytes, but for `alignment` counted from the start of the whole, which consists of whole pages.
struct guard_shape {
  std::size_t whole = 0;
  std::size_t alignment = 0;  ///< of the whole
  std::size_t lead = 0;       ///< in front; the last page of it is a guard
  std::size_t room = 0;       ///< pages of the block; behind it a page of guard, or nothing
  std::size_t front = 0;      ///< where the block begins

  [[nodiscard]] inline constexpr std::size_t trail() const noexcept { return whole - lead - room; }
};

/// The shape for a block; false when no machine has so much. Pre: `alignment` and `page` are powers of two.
[[nodiscard]] inline constexpr bool shape_for(const guard_sides& sides, std::size_t bytes, std::size_t alignment,
                                              std::size_t page, guard_shape& out) noexcept {
  if (bytes > max_object || alignment > max_object / 2) return false;
  out.alignment = alignment > page ? alignment : page;
  out.lead = sides.before ? out.alignment : 0;
  const bool on_guard = bytes == 0 && sides.after;
  const std::size_t taken = bytes == 0 && !on_guard ? 1 : bytes;  // an address of its own
  if (!checked_round_up(taken, page, out.room)) return false;
  if (!checked_add(out.lead, out.room, out.whole)) return false;
  if (!checked_add(out.whole, sides.after ? page : 0, out.whole)) return false;
  const bool moves = sides.tight == guard_edge::end && alignment <= page;
  out.front = out.lead + (moves ? out.room - round_up(taken, alignment) : 0);
  return out.whole <= max_object;
}

}  // namespace strata::mem
