// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <numeric>

module strata.mem:placement.impl;

import :placement;

namespace strata::mem {

namespace {

__extension__ using wide = unsigned __int128;

// offset modulo align, as mathematicians take it: in [0, align).
std::size_t residue(std::ptrdiff_t offset, std::size_t align) noexcept {
  if (offset >= 0) return static_cast<std::size_t>(offset) % align;
  const std::size_t below = (std::size_t{0} - static_cast<std::size_t>(offset)) % align;
  return below == 0 ? 0 : align - below;
}

// The smallest k with l <= k × d mod m <= r into `k`. Pre: l <= r < m, d < m.
//
// Before k × d passes m for the first time there is at most one candidate, the first multiple of d from l on. If that is
// beyond r, k × d must go round m some j times: l <= k × d - j × m <= r, that is, j × m mod d lies in [-r, -l] mod d. That
// is the same question of smaller numbers, (m mod d, d) in place of (d, m): Euclid's steps, so at most 93 of them. The
// interval does not wrap, as no multiple of d lies in [l, r]; the smallest j gives the smallest k.
bool first_multiple_within(std::size_t d, std::size_t m, std::size_t l, std::size_t r, wide& k) noexcept {
  k = 0;
  if (l == 0) return true;
  if (d == 0) return false;
  k = (wide{l} + d - 1) / d;
  if (k * d <= r) return true;
  wide j = 0;
  if (!first_multiple_within(m % d, d, d - 1 - (r - 1) % d, d - 1 - (l - 1) % d, j)) return false;
  k = (wide{l} + j * m + d - 1) / d;
  return true;
}

}  // namespace

placement::placement(const request& r, std::size_t unit) noexcept : size_(r.size), span_(r.size == 0 ? 0 : r.span) {
  if (r.align != 0) {
    step_ = r.align;
    rest_ = residue(r.offset, r.align);
  }
  // p ≡ rest (mod align) and p ≡ 0 (mod unit) together are one residue of their least common multiple, if any.
  const std::size_t common = std::gcd(static_cast<std::size_t>(step_), unit);
  if (rest_ % common != 0) return;
  while (rest_ % unit != 0) rest_ += step_;
  step_ = step_ / common * unit;

  if (span_ != 0) {
    if (size_ > span_) return;
    room_ = span_ - size_;
    turn_ = static_cast<std::size_t>(step_ % span_);
    // All p mod span are alike modulo this; the smallest of them has the most room.
    if (rest_ % std::gcd(turn_, span_) > room_) return;
  }
  possible_ = true;
}

bool placement::lowest(std::uintptr_t lo, std::uintptr_t hi, std::uintptr_t& place) const noexcept {
  if (!possible_ || hi < lo || hi - lo < size_) return false;
  wide p = rest_;
  if (p < lo) p += (lo - p + step_ - 1) / step_ * step_;
  wide steps = 0;
  if (span_ != 0 && !steps_to(static_cast<std::size_t>(p % span_), room_, steps)) return false;
  wide way = 0;
  if (__builtin_mul_overflow(steps, step_, &way) || __builtin_add_overflow(p, way, &p) || p > hi - size_) return false;
  place = static_cast<std::uintptr_t>(p);
  return true;
}

// Take p mod span as a point of a circle; places have it in [least, room_], all alike modulo `grain`. From a place, the
// fewest steps to another that is not before it on the circle are `up`, by `climb`; to one not behind it `down`, by
// `fall`. So the next place is up steps away where there is room to climb, down where there is to fall, up + down where
// there is neither (three distances: Sós 1958).
std::size_t placement::reach() const noexcept {
  wide steps = 1;
  if (span_ != 0) {
    const std::size_t grain = std::gcd(turn_, span_);
    const auto least = static_cast<std::size_t>(rest_ % grain);
    const std::size_t width = (room_ - least) / grain * grain;
    const auto turned = [&](const wide& n) { return static_cast<std::size_t>(n % span_ * turn_ % span_); };
    wide up = 0;
    wide down = 0;
    // Some number of whole turns leads back to the same point, so both exist.
    if (!steps_to(turn_, width, up) ||
        !steps_to(static_cast<std::size_t>((wide{turn_} + width) % span_), width, down)) {
      return std::numeric_limits<std::size_t>::max();
    }
    const std::size_t climb = turned(++up);
    const std::size_t fall = (span_ - turned(++down)) % span_;
    const bool each_can_move = climb == 0 || fall == 0 || wide{climb} + fall <= wide{width} + grain;
    steps = climb == 0 ? up : fall == 0 ? down : each_can_move ? std::max(up, down) : up + down;
  }
  wide gap = 0;
  if (__builtin_mul_overflow(steps, step_, &gap) || gap > std::numeric_limits<std::size_t>::max() - size_) {
    return std::numeric_limits<std::size_t>::max();
  }
  return static_cast<std::size_t>(gap) - 1 + size_;
}

// The least number of steps that lead from `from` (mod span) to a residue of at most `room`.
bool placement::steps_to(std::size_t from, std::size_t room, wide& steps) const noexcept {
  if (from <= room) {
    steps = 0;
    return true;
  }
  return first_multiple_within(turn_, span_, span_ - from, span_ - from + room, steps);
}

}  // namespace strata::mem
