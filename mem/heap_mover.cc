// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>

module strata.mem:heap_mover.impl;

import :address_tree;
import :block;
import :boundary_heap;
import :bytes;
import :heap_mover;
import :inspector;

namespace strata::mem {

// A heap's words may lie in hidden memory (:inspector), where none but the heap looks.
#pragma clang attribute push(__attribute__((no_sanitize("address"))), apply_to = function)

void* heap_mover::allocate(std::size_t bytes, std::size_t alignment, void* owner) noexcept {
  if (bytes > boundary_heap::max_bytes - sizeof(block::owner_note)) return nullptr;
  void* const p = heap_.allocate(bytes + sizeof(block::owner_note), alignment);
  if (p == nullptr) return nullptr;
  block* const b = block::of(p);
  b->write(b->size(), (b->word & block::flags & ~block::slacked) | block::movable, heap_.key_);
  ++heap_.movable_blocks_;
  *b->note() = {owner, bytes | std::uint64_t{log2_floor(std::max(alignment, block::unit))} << block::log_shift};
  return p;
}

void* heap_mover::grow(void* p, std::size_t bytes, std::size_t alignment) noexcept {
  if (bytes > boundary_heap::max_bytes - sizeof(block::owner_note)) return nullptr;
  if (heap_.resize(p, bytes)) return p;
  block* const b = at<block>(p, -static_cast<std::ptrdiff_t>(block::overhead));
  if (!is_aligned(p, block::unit) || b->is_prev_used()) return nullptr;

  const bool movable = b->is_movable();
  if (movable) alignment = std::max(alignment, heap_mover::alignment(p));
  alignment = std::min(alignment, std::size_t{1} << std::countr_zero(address(p)));
  block* const gap = b->below();
  block* const to = target(gap, alignment);
  if (address(to) >= address(b)) return nullptr;
  const std::size_t needed = heap_.block_size(bytes + b->own_use());
  std::size_t room = address(b) - address(to) + b->size();
  block* const above = b->above();
  const bool with_above = room < needed && above->is_free();
  if (with_above) room += above->size();
  if (room < needed) return nullptr;

  const block::owner_note note = movable ? *b->note() : block::owner_note{};
  const std::size_t contents = boundary_heap::usable_size(p);
  // As a move of the block, after which it has what it left free above it again.
  if (with_above) {
    heap_.drop_free(above);
    heap_.counters_.used += above->size();
    b->write(b->size() + above->size(), b->word & block::flags, heap_.key_);
    b->above()->set(block::prev_used, heap_.key_);
    heap_.absorbed(above, b);
  }
  block* const freed = slide(gap, b, to, contents);
  heap_.drop_free(freed);
  heap_.absorbed(freed, to);
  heap_.counters_.used += freed->size();
  to->write(to->size() + freed->size(), to->word & block::flags, heap_.key_);
  to->above()->set(block::prev_used, heap_.key_);
  heap_.cut_tail(to, needed);
  if (movable) *to->note() = note;
  heap_.note(to, bytes);
  return to->payload();
}

void heap_mover::start() noexcept {
  heap_.join_kept();
  heap_.loosened_ = false;
  region* const lowest = tree_above<region>(heap_.regions_, nullptr);
  heap_.cursor_ = lowest == nullptr ? nullptr : lowest->first_block();
}

heap_step heap_mover::step(heap_move& move) noexcept {
  if (heap_.kept_.count() != 0) heap_.join_kept();
  block*& b = heap_.cursor_;
  for (int visits = 0; b != nullptr; ++visits) {
    if (visits == most_visits) return heap_step::looked;
    if (b->is_sentinel()) {
      region* const next = tree_above(heap_.regions_, b);
      b = next == nullptr ? nullptr : next->first_block();
      continue;
    }
    block* const below = b;
    b = below->above();
    if (!below->is_free() || !b->is_movable()) continue;
    block* const to = target(below, alignment(b->payload()));
    if (address(to) >= address(b)) continue;
    const block::owner_note note = *b->note();
    move = {b->payload(), to->payload(), b->asked(), note.owner};
    b = slide(below, b, to, boundary_heap::usable_size(b->payload()));
    *to->note() = note;
    return heap_step::moved;
  }
  return heap_step::done;
}

// Where a block of that alignment may begin in the free block `gap`, or in what follows, at the lowest: what stays in
// front is a free block or nothing.
block* heap_mover::target(block* gap, std::size_t alignment) noexcept {
  if (is_aligned(gap->payload(), alignment)) return gap;
  const std::uintptr_t lowest = address(gap->payload()) + block::smallest;
  return at<block>(gap, static_cast<std::ptrdiff_t>(round_up(lowest, alignment) - address(gap->payload())));
}

// Moves the used block `b`, with its size and the first `contents` bytes of its payload, down to `to`, in or at the start
// of the free block `gap` that is below it. Returns the free block above it, then.
//
// `to` is a smallest block's bytes below `b` or more: an alignment up to 16, of which `b` has one, leads to the start of
// the gap, which is as large, and a larger one to addresses that are as far apart.
block* heap_mover::slide(block* gap, block* b, block* to, std::size_t contents) noexcept {
  const std::uint64_t key = heap_.key_;
  const std::size_t size = b->size();
  const std::size_t front = address(to) - address(gap);
  const std::size_t gap_size = gap->size();
  const std::uint64_t gap_flags = gap->word & (block::prev_used | block::first);
  const std::uint64_t kind = b->word & block::flags & ~(block::prev_used | block::first);
  heap_.drop_free(gap);
  std::size_t freed_size = gap_size - front;
  block* const above = b->above();
  if (above->is_free()) {
    heap_.drop_free(above);
    heap_.absorbed(above, at<block>(to, static_cast<std::ptrdiff_t>(size)));
    freed_size += above->size();
  }
  b->clear(block::used, key);  // whoever still has the old address must not find a block there
  move_hidden(to->payload(), b->payload(), contents);
  to->write(size, kind | (front == 0 ? gap_flags : 0), key);
  block* const freed = to->above();
  if (front != 0) heap_.make_free(gap, front, gap_flags);
  heap_.absorbed(b, to);
  heap_.make_free(freed, freed_size, block::prev_used);
  return freed;
}

#pragma clang attribute pop

}  // namespace strata::mem
