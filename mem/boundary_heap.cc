// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "absl/functional/function_ref.h"

module strata.mem:boundary_heap.impl;

import :address_tree;
import :block;
import :boundary_heap;
import :bytes;
import :discard;
import :free_index;
import :kept_blocks;
import :list;
import :placed_block;

import strata.platform;

namespace strata::mem {

// A heap's words may lie in hidden memory (:inspector), where none but the heap looks.
#pragma clang attribute push(__attribute__((no_sanitize("address"))), apply_to = function)

namespace {

// Not a secret, only unlike: heaps at different addresses, and the same heap in another run, must not seal alike.
std::uint64_t new_key(const void* heap) noexcept {
  return (platform::monotonic_ns() ^ std::rotl(address(heap), 32)) * 0xD6E8'FEB8'6659'FD93U;
}

// The region whose first block is `b`.
region* region_of(block* b) noexcept { return at<region>(b, -static_cast<std::ptrdiff_t>(sizeof(region))); }

// The word that ends a region. Regions that are joined have the end of the upper.
block* end_of(region* r) noexcept {
  return at<block>(r->first_block(),
                   static_cast<std::ptrdiff_t>(round_down(r->bytes - boundary_heap::region_overhead, block::unit)));
}

// Whether the free block `b` is all there is in its region.
bool fills_region(const block* b) noexcept { return b->is_first() && b->above()->is_sentinel(); }

// Of so much use, a quarter may go, and a bit more so that little heaps are left alone, before kept blocks become free.
std::size_t join_below(std::size_t used, std::size_t regions) noexcept {
  constexpr std::size_t little = std::size_t{64} << 10;
  constexpr std::size_t much = std::size_t{1} << 20;
  const std::size_t three_quarters = used - used / 4;
  if (three_quarters > little) return three_quarters - little;
  return regions > much ? 1 : 0;  // of a heap that holds much, the last block to go takes what is kept along
}

}  // namespace

const char* describe(heap_fault fault) noexcept {
  switch (fault) {
    case heap_fault::none:
      return "no fault";
    case heap_fault::not_a_block:
      return "not a block of this heap, or the word in front of it was overwritten";
    case heap_fault::already_free:
      return "the block is free already";
    case heap_fault::bad_end:
      return "the end of a free block was overwritten";
    case heap_fault::bad_neighbour:
      return "a block contradicts the block below it";
    case heap_fault::bad_list:
      return "a list of blocks that wait was overwritten";
    case heap_fault::bad_count:
      return "the counters contradict the blocks";
  }
  return "unknown fault";
}

boundary_heap::boundary_heap(geometry g) noexcept : kept_(g.keep), key_(new_key(this)), geometry_(g) {
  geometry_.quantum = std::bit_ceil(std::clamp(g.quantum, block::unit, std::size_t{1} << 30));
  geometry_.min_block = round_up(std::clamp(g.min_block, block::smallest, std::size_t{1} << 30), geometry_.quantum);
}

void* boundary_heap::allocate_free(std::size_t bytes, std::size_t alignment) noexcept {
  if (bytes > max_bytes) return nullptr;
  const std::size_t size = block_size(bytes);
  if (alignment <= block::unit) {
    block* const b = find(size);
    return b == nullptr ? nullptr : take(b, size, bytes);
  }
  if (alignment > max_bytes) return nullptr;
  // Room to reach the next multiple and to leave a whole block in front of it.
  block* const b = find(size + alignment + geometry_.min_block);
  return b == nullptr ? nullptr : take(cut_front(b, alignment), size, bytes);
}

boundary_heap::freed boundary_heap::deallocate(void* p) noexcept {
  if (const heap_fault fault = recognise(p); fault != heap_fault::none) {
    return is_inside(p) ? deallocate_placed(p) : freed{fault, nullptr};
  }
  return take_back(block::of(p));
}

boundary_heap::freed boundary_heap::take_back(block* b) noexcept {
  const std::size_t size = b->size();
  if (b->is_movable()) --movable_blocks_;
  if (kept_.has_room(size)) return {heap_fault::none, keep(b, size)};
  counters_.used -= size;
  --counters_.used_blocks;
  return {heap_fault::none, join(b)};
}

// A free block of at least `size` bytes, still free, or null.
block* boundary_heap::find(std::size_t size) noexcept {
  block* const b = index_.find(size);
  if (b != nullptr || kept_.count() == 0) [[likely]] {
    return b;
  }
  join_kept();
  return index_.find(size);
}

region* boundary_heap::join_kept() noexcept {
  region* emptied = nullptr;
  for (std::size_t list = 0; kept_.count() != 0; ++list) {
    while (block* const b = kept_.pop(list * block::unit)) {
      if (region* const r = join(b); r != nullptr) emptied = r;
    }
  }
  join_below_ = join_below(counters_.used, counters_.regions);
  return emptied;
}

// Makes a block free that is not counted as used any more, and returns its region if that is one free block now.
region* boundary_heap::join(block* b) noexcept {
  std::size_t size = b->size();
  std::uint64_t flags = b->word & (block::prev_used | block::first);
  loosened_ = true;
  block* const above = b->above();
  if (above->is_free()) {
    drop_free(above);
    absorbed(above, b);
    size += above->size();
  }
  if ((flags & block::prev_used) == 0) {
    b->clear(block::used, key_);  // its word stays inside the joined block: a second free of it must find it free
    absorbed(b, b->below());
    b = b->below();
    drop_free(b);
    size += b->size();
    flags = b->word & (block::prev_used | block::first);
  }
  make_free(b, size, flags);

  if (!fills_region(b)) return nullptr;
  region* const emptied = region_of(b);
  unlink(in_use_, emptied);
  link_front(empty_, emptied);
  counters_.empty += emptied->bytes;
  return emptied;
}

bool boundary_heap::resize(void* p, std::size_t bytes) noexcept {
  if (bytes > max_bytes) return false;
  block* const b = block_at(p);
  const std::size_t size = block_size(bytes + b->own_use());
  const block::owner_note note_before = b->is_movable() ? *b->note() : block::owner_note{};
  if (size > b->size()) {
    block* const above = b->above();
    if (!above->is_free() || b->size() + above->size() < size) return false;
    drop_free(above);
    absorbed(above, b);
    const std::size_t joined = b->size() + above->size();
    counters_.used += above->size();
    b->write(joined, b->word & block::flags, key_);
    b->above()->set(block::prev_used, key_);
  }
  cut_tail(b, size);
  if (b->is_movable()) *b->note() = note_before;
  note(b, bytes);
  return true;
}

// Writes down that the used block `b` was asked to hold `bytes`.
void boundary_heap::note(block* b, std::size_t bytes) noexcept {
  if (b->is_movable()) {
    std::uint64_t& asked = b->note()->asked;
    asked = (asked >> block::log_shift << block::log_shift) | bytes;
  } else {
    b->write(b->size(), (b->word & block::flags & ~block::slacked) | b->note_asked(b->size(), bytes + b->way()), key_);
  }
}

std::size_t boundary_heap::usable_size(const void* p) noexcept {
  const block* const b = block_at(p);
  return b->capacity() - b->own_use();
}

std::size_t boundary_heap::room_at(const void* p) noexcept {
  const block* const b = block_at(p);
  const block* const above = b->above();
  return usable_size(p) + (above->is_free() ? above->size() : 0);
}

std::size_t boundary_heap::take_slack(void* p) noexcept {
  note(block_at(p), usable_size(p));
  return usable_size(p);
}

heap_fault boundary_heap::inspect(const void* p) const noexcept {
  const region* const r = find_region(p);
  // What is in front of it must be the region's too.
  if (r == nullptr || address(p) - address(r) < sizeof(region) + block::overhead) return heap_fault::not_a_block;
  return is_inside(p) ? recognise_placed(p) : recognise(p);
}

// The filler leads to a block, which must lie in the same region and say the same. Pre: as recognise().
heap_fault boundary_heap::recognise_placed(const void* p) const noexcept {
  if (address(p) - lowest_ >= extent_ || !has_filler(p, key_)) return heap_fault::not_a_block;
  const block* const b = block_at(p);
  if (find_region(b) != find_region(p) || !b->is_sealed(key_)) return heap_fault::not_a_block;
  if (!b->is_used()) return heap_fault::already_free;
  return b->is_placed() && b->handed_out() == p ? heap_fault::none : heap_fault::not_a_block;
}

boundary_heap::freed boundary_heap::deallocate_placed(void* p) noexcept {
  if (const heap_fault fault = inspect(p); fault != heap_fault::none) return {fault, nullptr};
  return take_back(block_at(p));
}

const region* boundary_heap::find_region(const void* p) const noexcept {
  if (address(p) - lowest_ >= extent_) return nullptr;
  const region* const r = tree_at_or_below(regions_, p);
  return r != nullptr && address(p) - address(r) < r->bytes ? r : nullptr;
}

const region* boundary_heap::lowest_region() const noexcept { return tree_above<region>(regions_, nullptr); }

void boundary_heap::measure_bounds() noexcept {
  lowest_ = extent_ = 0;
  if (regions_ == nullptr) return;
  const region* highest = regions_;
  while (highest->upper != nullptr) highest = highest->upper;
  lowest_ = address(lowest_region());
  extent_ = address(highest) + highest->bytes - lowest_;
}

std::size_t boundary_heap::region_bytes_for(std::size_t bytes, std::size_t alignment) const noexcept {
  if (bytes > max_bytes || alignment > max_bytes) return 0;
  const std::size_t slack = alignment <= block::unit ? 0 : alignment + geometry_.min_block;
  // add() puts the region's block at the head of its list, where find() looks first: as large as wanted is large
  // enough.
  return round_up(block_size(bytes) + slack + region_overhead, block::unit);
}

region* boundary_heap::add(void* base, std::size_t bytes) noexcept {
  auto* const r = static_cast<region*>(base);
  r->bytes = bytes;
  link_front(empty_, r);
  tree_insert(regions_, r);
  measure_bounds();

  // A payload lies 8 bytes behind its word, and payloads are multiples of 16.
  static_assert(sizeof(region) % block::unit == block::overhead);
  const std::size_t size = round_down(bytes - region_overhead, block::unit);
  block* const b = r->first_block();
  at<block>(b, static_cast<std::ptrdiff_t>(size))->write(0, block::used | block::prev_used, key_);
  counters_.regions += bytes;
  counters_.empty += bytes;
  counters_.fences += bytes - size;
  make_free(b, size, block::first | block::prev_used);
  return r;
}

region* boundary_heap::add(void* base, std::size_t bytes,
                           absl::FunctionRef<bool(const region& lower, const region& upper)> may_join) noexcept {
  region* const r = add(base, bytes);
  region* const above = tree_above(regions_, r);
  if (above != nullptr && address(r) + r->bytes == address(above) && may_join(*r, *above)) join_regions(r, above);
  region* const below = tree_at_or_below(regions_, at<std::byte>(r, -1));
  if (below == nullptr || address(below) + below->bytes != address(r) || !may_join(*below, *r)) return r;
  return join_regions(below, r);
}

// What ends the lower one and begins the upper one becomes a block, which is joined with its neighbours.
region* boundary_heap::join_regions(region* lower, region* upper) noexcept {
  block* const between = end_of(lower);
  block* const beyond = upper->first_block();
  const std::size_t size = address(beyond) - address(between);
  for (region* const r : {lower, upper}) {
    if (r->first_block()->is_free() && fills_region(r->first_block())) leave_empty(r->first_block());
  }
  unlink(in_use_, upper);
  tree_erase(regions_, upper);
  lower->bytes += upper->bytes;
  counters_.fences -= size;
  beyond->clear(block::first, key_);
  between->write(size, (between->word & block::prev_used) | block::used, key_);
  join(between);
  return lower;
}

void boundary_heap::remove(region* r) noexcept {
  if (address(cursor_) - address(r) < r->bytes) {
    region* const next = tree_above(regions_, r);
    cursor_ = next == nullptr ? nullptr : next->first_block();
  }
  tree_erase(regions_, r);
  measure_bounds();
  block* const b = r->first_block();
  drop_free(b);
  counters_.regions -= r->bytes;
  counters_.empty -= r->bytes;
  low_empty_ = std::min(low_empty_, counters_.empty);
  counters_.fences -= r->bytes - b->size();
  unlink(empty_, r);
}

region* boundary_heap::clear() noexcept {
  region* all = empty_;
  for (region* r = in_use_; r != nullptr;) {
    region* const next = r->next;
    link_front(all, r);
    r = next;
  }
  index_.clear();
  kept_.clear();
  join_below_ = 0;
  movable_blocks_ = 0;
  empty_ = in_use_ = regions_ = nullptr;
  low_empty_ = 0;
  cursor_ = nullptr;
  counters_ = {};
  measure_bounds();
  key_ = new_key(this);  // words left in memory that may come back must not pass for blocks
  return all;
}

heap_report boundary_heap::check() const noexcept {
  heap_counters seen;
  std::size_t count = 0;
  for (const region* list : {empty_, in_use_}) {
    for (const region* r = list; r != nullptr; r = r->next) {
      ++count;
      if (find_region(r) != r) return {heap_fault::bad_list, r};
      const heap_report report = check_region(r, seen);
      if (report.fault != heap_fault::none) return report;
      const block* const first = r->first_block();
      if ((first->is_free() && fills_region(first)) != (list == empty_)) return {heap_fault::bad_count, r};
    }
  }
  for (const region* r = lowest_region(); r != nullptr; r = tree_above(regions_, r)) --count;
  if (count != 0) return {heap_fault::bad_list, regions_};
  if (const heap_report report = check_lists(seen.free_blocks); report.fault != heap_fault::none) return report;
  if (const heap_report report = check_kept(seen.kept_blocks); report.fault != heap_fault::none) return report;
  const heap_counters counted = counters();
  const bool same = seen.regions == counted.regions && seen.used == counted.used && seen.kept == counted.kept &&
                    seen.free == counted.free && seen.fences == counted.fences && seen.empty == counted.empty &&
                    seen.used_blocks == counted.used_blocks && seen.free_blocks == counted.free_blocks;
  return {same ? heap_fault::none : heap_fault::bad_count, this};
}

heap_report boundary_heap::check(const void* p) const noexcept {
  if (const heap_fault fault = inspect(p); fault != heap_fault::none) return {fault, p};
  const block* const b = block_at(p);
  const region* const r = find_region(p);
  if (b->size() > address(r) + r->bytes - address(b) - block::overhead) return {heap_fault::not_a_block, p};
  if (const heap_fault fault = check_used(b); fault != heap_fault::none) return {fault, p};
  const block* const above = b->above();
  if (!above->is_sealed(key_)) return {heap_fault::not_a_block, above->payload()};
  if (!above->is_prev_used()) return {heap_fault::bad_neighbour, p};
  if (b->is_prev_used()) return {};
  const bool has_room = b->size_below() <= address(b) - address(r->first_block()) && b->size_below() != 0;
  const block* const below = has_room ? at<block>(b, -static_cast<std::ptrdiff_t>(b->size_below())) : nullptr;
  if (below == nullptr || !below->is_sealed(key_) || below->size() != b->size_below()) return {heap_fault::bad_end, p};
  return {below->is_free() ? heap_fault::none : heap_fault::bad_neighbour, p};
}

// Of a free block its word and links at the start and its size at the end are used.
void boundary_heap::discard_free() noexcept {
  constexpr std::size_t edge = 64;
  for (region* const list : {empty_, in_use_}) {
    for (region* r = list; r != nullptr; r = r->next) {
      for (block* b = r->first_block(); !b->is_sentinel(); b = b->above()) {
        if (b->is_free() && b->size() > 2 * edge) discard(at<std::byte>(b, edge), b->size() - 2 * edge);
      }
    }
  }
}

void boundary_heap::walk(absl::FunctionRef<void(const heap_block&)> visitor) const {
  walk([](const region&) {}, visitor);
}

void boundary_heap::walk(absl::FunctionRef<void(const region&)> region_visitor,
                         absl::FunctionRef<void(const heap_block&)> visitor) const {
  for (const region* r = lowest_region(); r != nullptr; r = tree_above(regions_, r)) {
    region_visitor(*r);
    for (const block* b = r->first_block(); !b->is_sentinel(); b = b->above()) {
      if (b->is_used()) {
        visitor({b->handed_out(), b->size(), true, false, b->asked(), b->is_movable(), b});
      } else {
        visitor({b->payload(), b->size(), false, b->is_kept(), 0, false, b});
      }
    }
  }
}

// Adds what the region holds to `seen`. Trusts no word before its seal and its place in the region are verified.
heap_report boundary_heap::check_region(const region* r, heap_counters& seen) const noexcept {
  const std::uintptr_t end = address(r) + r->bytes;
  std::size_t blocks = 0;
  bool below_used = true;
  bool cursor_seen = address(cursor_) - address(r) >= r->bytes;
  const block* b = r->first_block();
  for (;; b = b->above()) {
    if (!b->is_sealed(key_)) return {heap_fault::not_a_block, b->payload()};
    if (b->is_prev_used() != below_used) return {heap_fault::bad_neighbour, b->payload()};
    cursor_seen = cursor_seen || b == cursor_;
    if (b->is_sentinel()) break;
    if (b->is_first() != (b == r->first_block())) return {heap_fault::bad_neighbour, b->payload()};
    if (b->size() > end - address(b) - block::overhead) return {heap_fault::not_a_block, b->payload()};
    if (b->is_used()) {
      if (const heap_fault fault = check_used(b); fault != heap_fault::none) return {fault, b->payload()};
      seen.used += b->size();
      ++seen.used_blocks;
    } else if (b->is_kept()) {
      seen.kept += b->size();
      ++seen.kept_blocks;
    } else {
      if (!below_used) return {heap_fault::bad_neighbour, b->payload()};
      if (b->size_at_end() != b->size()) return {heap_fault::bad_end, b->payload()};
      seen.free += b->size();
      ++seen.free_blocks;
    }
    below_used = !b->is_free();
    blocks += b->size();
  }
  if (!cursor_seen) return {heap_fault::bad_list, cursor_};
  seen.regions += r->bytes;
  seen.fences += r->bytes - blocks;
  if (r->first_block()->is_free() && fills_region(r->first_block())) seen.empty += r->bytes;
  return {};
}

// What a used block keeps beside its word fits into it.
heap_fault boundary_heap::check_used(const block* b) const noexcept {
  if (b->is_movable()) {
    const bool fits = b->asked() <= b->capacity() - b->own_use() && (b->note()->asked >> block::log_shift) < 64;
    return fits ? heap_fault::none : heap_fault::bad_end;
  }
  if (b->way() > b->capacity()) return heap_fault::not_a_block;
  if (b->is_placed() && (way_to(b->handed_out()) != b->way() || !has_filler(b->handed_out(), key_))) {
    return heap_fault::not_a_block;
  }
  return b->slack() > b->capacity() - b->way() ? heap_fault::bad_end : heap_fault::none;
}

// Every block in every list is a free block of this heap, in the list of its size, linked both ways; together they are
// all there are.
heap_report boundary_heap::check_lists(std::size_t free_blocks) const noexcept {
  std::size_t found = 0;
  for (std::size_t list = 0; list < free_index::list_count; ++list) {
    const block* prev = nullptr;
    const block* b = index_.head(list);
    if (index_.marked(list) != (b != nullptr)) return {heap_fault::bad_list, b};
    for (; b != nullptr; prev = b, b = b->next) {
      if (!owns(b) || !b->is_sealed(key_) || !b->is_free()) return {heap_fault::bad_list, b};
      if (free_index::list_of(b->size()) != list || b->prev != prev) return {heap_fault::bad_list, b->payload()};
      if (++found > free_blocks) return {heap_fault::bad_list, b->payload()};
    }
  }
  return {found == free_blocks ? heap_fault::none : heap_fault::bad_list, nullptr};
}

// The same for what is kept.
heap_report boundary_heap::check_kept(std::size_t count) const noexcept {
  std::size_t found = 0;
  for (std::size_t list = 0; list < kept_blocks::lists; ++list) {
    for (const block* b = kept_.head(list); b != nullptr; b = b->next) {
      if (!owns(b) || !b->is_sealed(key_) || !b->is_kept()) return {heap_fault::bad_list, b};
      if (b->size() != list * block::unit || ++found > count) return {heap_fault::bad_list, b->payload()};
    }
  }
  return {found == count && found == kept_.count() ? heap_fault::none : heap_fault::bad_list, nullptr};
}

bool boundary_heap::owns(const block* b) const noexcept {
  return is_aligned(b, block::overhead) && find_region(b) != nullptr;
}

// Marks the free block `b` used, as large as it is, and gives back what `size` leaves over.
void* boundary_heap::take(block* b, std::size_t size, std::size_t bytes) noexcept {
  drop_free(b);
  if (fills_region(b)) leave_empty(b);
  const std::size_t whole = b->size();
  if (whole - size >= geometry_.min_block) {
    // The block above keeps its flag: what is below it stays free.
    make_free(at<block>(b, static_cast<std::ptrdiff_t>(size)), whole - size, block::prev_used);
  } else {
    b->above()->set(block::prev_used, key_);
    size = whole;
  }
  b->write(size, (b->word & (block::prev_used | block::first)) | block::used | b->note_asked(size, bytes), key_);
  counters_.used += size;
  ++counters_.used_blocks;
  if (const std::size_t mark = join_below(counters_.used, counters_.regions); mark > join_below_) join_below_ = mark;
  return b->payload();
}

// Cuts a free block in two free blocks so that the upper one has an aligned payload, and returns that one, as split()
// does.
block* boundary_heap::cut_front(block* b, std::size_t alignment) noexcept {
  if (is_aligned(b->payload(), alignment)) return b;
  const std::uintptr_t earliest = address(b->payload()) + geometry_.min_block;
  return split(b, round_up(earliest, alignment) - address(b->payload()));
}

// Cuts a free block in two, the lower one of `front` bytes, and returns the upper one. The two touch, which only take()
// may see: it turns the upper one into a used block at once.
block* boundary_heap::split(block* b, std::size_t front) noexcept {
  const std::size_t whole = b->size();
  drop_free(b);
  if (fills_region(b)) leave_empty(b);
  make_free(b, front, b->word & (block::first | block::prev_used));
  block* const upper = b->above();
  make_free(upper, whole - front, 0);
  return upper;
}

// Gives back what a used block has beyond `size`, when that makes a block, joined with the free block above.
void boundary_heap::cut_tail(block* b, std::size_t size) noexcept {
  const std::size_t over = b->size() - size;
  if (over < geometry_.min_block) return;
  block* const above = b->above();
  std::size_t tail = over;
  loosened_ = true;
  block* const rest = at<block>(b, static_cast<std::ptrdiff_t>(size));
  if (above->is_free()) {
    drop_free(above);
    absorbed(above, rest);
    tail += above->size();
  }
  counters_.used -= over;
  b->write(size, b->word & block::flags, key_);
  make_free(rest, tail, block::prev_used);
}

// Writes a free block, tells the block above, and puts it into its list.
void boundary_heap::make_free(block* b, std::size_t size, std::uint64_t flags) noexcept {
  b->write(size, flags, key_);
  b->write_size_at_end();
  b->above()->clear(block::prev_used, key_);
  index_.insert(b);
  counters_.free += size;
  ++counters_.free_blocks;
}

void boundary_heap::drop_free(block* b) noexcept {
  index_.remove(b);
  counters_.free -= b->size();
  --counters_.free_blocks;
}

void boundary_heap::leave_empty(block* first) noexcept {
  region* const r = region_of(first);
  unlink(empty_, r);
  link_front(in_use_, r);
  counters_.empty -= r->bytes;
  low_empty_ = std::min(low_empty_, counters_.empty);
}

#pragma clang attribute pop

}  // namespace strata::mem
