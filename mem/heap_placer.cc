// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>

module strata.mem:heap_placer.impl;

import :block;
import :boundary_heap;
import :bytes;
import :free_index;
import :heap_placer;
import :placed_block;
import :placement;

namespace strata::mem {

// A heap's words may lie in hidden memory (:inspector), where none but the heap looks.
#pragma clang attribute push(__attribute__((no_sanitize("address"))), apply_to = function)

// A request, and how its places lie to payloads.
struct heap_placer::plan {
  explicit plan(const placement::request& r) noexcept : size(r.size), places(r, block::unit) {
    if (places.possible()) return;
    places = placement(r);
    inside = true;
  }
  [[nodiscard]] bool possible() const noexcept { return size <= boundary_heap::max_bytes && places.possible(); }

  std::size_t size;
  placement places;
  bool inside = false;  ///< no place is a multiple of 16
};

// Three looks, whatever there is. First at blocks as small as the request, some few of them, for good fits. Then at a
// block of enough bytes that a place is in it wherever it lies. Last, since that may be far more than there is in one
// piece (the least common multiple of align and span), at some few of the largest blocks. What is kept joins the free
// blocks before a request is given up, once.
void* heap_placer::allocate(const placement::request& request) noexcept {
  const plan wanted(request);
  if (!wanted.possible()) return nullptr;
  const std::size_t enough = enough_for(wanted);
  void* const p = find(wanted, enough);
  if (p != nullptr || heap_.kept_.count() == 0) return p;
  heap_.join_kept();
  return find(wanted, enough);
}

std::size_t heap_placer::region_bytes_for(const placement::request& request) const noexcept {
  const plan wanted(request);
  if (!wanted.possible()) return 0;
  const std::size_t enough = enough_for(wanted);
  return enough == 0 ? 0 : enough + boundary_heap::region_overhead;
}

// Bytes of a free block that is sure to hold the request, or 0 when that cannot be.
std::size_t heap_placer::enough_for(const plan& wanted) const noexcept {
  const std::size_t reach = wanted.places.reach();
  if (reach > boundary_heap::max_bytes) return 0;
  const std::size_t front = wanted.inside ? least_way + block::unit : heap_.geometry_.min_block;
  return round_up(block::overhead + front + reach + heap_.geometry_.quantum + heap_.geometry_.min_block, block::unit);
}

void* heap_placer::find(const plan& wanted, std::size_t enough) noexcept {
  constexpr int few = (most_looks - 1) / 2;
  const free_index& index = heap_.index_;
  const std::size_t least = heap_.block_size(wanted.size + (wanted.inside ? least_way : 0));
  spot s{};
  block* b = index.find(least);
  for (int i = 0; i < few && b != nullptr; ++i, b = b->next) {
    if (fits(wanted, b, s)) return take(wanted, b, s);
  }
  if (b = enough == 0 ? nullptr : index.find(enough); b != nullptr && fits(wanted, b, s)) return take(wanted, b, s);
  b = index.largest();
  for (int i = 0; i < few && b != nullptr; ++i, b = b->next) {
    if (fits(wanted, b, s)) return take(wanted, b, s);
  }
  return nullptr;
}

// Whether the request can be cut out of the free block `b`, and how. What stays in front is a block or nothing; where an
// address inside is handed out, less than a block in front is part of the way.
bool heap_placer::fits(const plan& wanted, block* b, spot& s) const noexcept {
  const std::uintptr_t lo = address(b->payload());
  const std::uintptr_t hi = lo + b->capacity();
  const std::size_t least_front = heap_.geometry_.min_block;
  std::uintptr_t place = 0;
  if (!wanted.places.lowest(wanted.inside ? lo + least_way : lo, hi, place)) return false;
  std::uintptr_t payload = place;
  if (wanted.inside) {
    payload = round_down(place - least_way, block::unit);
    if (payload - lo < least_front) payload = lo;
  } else if (place != lo && place - lo < least_front) {
    if (!wanted.places.lowest(lo + least_front, hi, place)) return false;
    payload = place;
  }
  s = {payload - lo, place - payload, heap_.block_size(place - payload + wanted.size)};
  return s.front + s.size <= b->size();
}

void* heap_placer::take(const plan& wanted, block* b, const spot& s) noexcept {
  if (s.front != 0) b = heap_.split(b, s.front);
  void* const payload = heap_.take(b, s.size, s.way + wanted.size);
  if (s.way == 0) return payload;
  auto* const p = at<std::byte>(payload, static_cast<std::ptrdiff_t>(s.way));
  *at<std::size_t>(payload, 0) = s.way;
  write_filler(p, s.way, heap_.key_);
  b->set(block::placed, heap_.key_);
  return p;
}

#pragma clang attribute pop

}  // namespace strata::mem
