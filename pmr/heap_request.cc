// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <cstddef>
#include <cstring>

module strata.pmr:heap_request.impl;

import :heap_request;
import :ledger;

import strata.mem;

namespace strata::pmr {

namespace {

std::size_t region_bytes_for_movable(const mem::boundary_heap& heap, std::size_t bytes,
                                     std::size_t alignment) noexcept {
  std::size_t all = 0;
  return mem::checked_add(bytes, mem::heap_mover::own_bytes, all) ? heap.region_bytes_for(all, alignment) : 0;
}

}  // namespace

void* heap_request::serve_from(mem::boundary_heap& heap, ledger& books) const noexcept {
  void* p = nullptr;
  switch (what) {
    case kind::plain:
      p = heap.allocate(bytes, alignment);
      break;
    case kind::placed:
      p = mem::heap_placer(heap).allocate({bytes, alignment, offset, span});
      break;
    case kind::movable:
      p = mem::heap_mover(heap).allocate(bytes, alignment, subject);
      break;
    case kind::grown:
      p = grow_in(heap);
      if (p != nullptr) books.resized(old_bytes, bytes);
      return p;
  }
  if (p != nullptr) books.handed_out(bytes);
  return p;
}

void* heap_request::grow_in(mem::boundary_heap& heap) const noexcept {
  mem::heap_mover mover(heap);
  if (void* const p = mover.grow(subject, bytes, alignment); p != nullptr) return p;
  void* const p = mover.is_movable(subject)
                      ? mover.allocate(bytes, std::max(alignment, mover.alignment(subject)), mover.owner(subject))
                      : heap.allocate(bytes, alignment);
  if (p == nullptr) return nullptr;
  std::memcpy(p, subject, std::min(old_bytes, bytes));
  (void)heap.deallocate(subject);
  return p;
}

std::size_t heap_request::region_bytes(mem::boundary_heap& heap) const noexcept {
  switch (what) {
    case kind::plain:
      return heap.region_bytes_for(bytes, alignment);
    case kind::placed:
      return mem::heap_placer(heap).region_bytes_for({bytes, alignment, offset, span});
    case kind::movable:
      return region_bytes_for_movable(heap, bytes, alignment);
    case kind::grown:
      if (!mem::heap_mover::is_movable(subject)) return heap.region_bytes_for(bytes, alignment);
      return region_bytes_for_movable(heap, bytes, std::max(alignment, mem::heap_mover::alignment(subject)));
  }
  return 0;
}

const char* heap_request::why_none() const noexcept {
  return what == kind::placed ? "no address has that residue with room for the block within a span"
                              : "no block can be so large or so aligned";
}

}  // namespace strata::pmr
