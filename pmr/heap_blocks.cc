// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"

module strata.pmr:heap_blocks.impl;

import :heap_blocks;
import :heap_options;
import :heap_request;
import :inspected_blocks;
import :layer;
import :ledger;
import :report;

import strata.mem;

namespace strata::pmr {

template <threads Threads>
heap_blocks<Threads>::heap_blocks(const heap_options<Threads>& options) noexcept
    : options_(options),
      may_wait_(options.checks || options.keep_freed < 64 ? 0 : options.keep_freed - 64),
      detour_(why_inspected()),
      heap_({.quantum = options.quantum, .min_block = options.min_block, .keep = options.keep_freed}),
      decay_(mem::decay_period(options.decay_ms)),
      inspected_(options.name) {}

template <threads Threads>
typename heap_blocks<Threads>::answer heap_blocks<Threads>::serve(const heap_request& r) noexcept {
  const mem::look allowed;
  const mem::lock held(lock_);
  settle();
  if (damage_ != nullptr) return {};
  if (void* const p = r.serve_from(heap_, ledger_); p != nullptr) return {.block = p};
  return {.region_bytes = r.region_bytes(heap_)};
}

template <threads Threads>
const char* heap_blocks<Threads>::why_none(const heap_request& r) const noexcept {
  return is_damaged() ? "the heap was found damaged, and serves nothing" : r.why_none();
}

template <threads Threads>
void heap_blocks<Threads>::failed() noexcept {
  const mem::look allowed;
  const mem::lock held(lock_);
  ledger_.failed();
}

template <threads Threads>
typename heap_blocks<Threads>::verdict heap_blocks<Threads>::put(const given_block& block) noexcept {
  const mem::look allowed;
  const mem::lock held(lock_);
  if (damage_ != nullptr) return {taken::well};
  const auto freed = heap_.deallocate(block.at, block.bytes);
  if (freed.fault != mem::heap_fault::none) return {taken::wrongly, freed.fault};
  ledger_.taken_back(block.bytes);
  return {freed.emptied != nullptr && has_excess() ? taken::emptied : taken::well};
}

template <threads Threads>
bool heap_blocks<Threads>::is_damaged() const noexcept {
  const mem::look allowed;
  const mem::lock held(lock_);
  return damage_ != nullptr;
}

template <threads Threads>
wrong_block heap_blocks<Threads>::next_wrong() noexcept {
  const mem::look allowed;
  const mem::lock held(lock_);
  return wrong_count_ == 0 ? wrong_block{} : wrong_[--wrong_count_];
}

template <threads Threads>
const char* heap_blocks<Threads>::judge(mem::heap_fault fault) noexcept {
  const mem::look allowed;
  const mem::lock held(lock_);
  if (damage_ != nullptr) return "the heap was found damaged, and takes nothing back";
  if (fault == mem::heap_fault::not_a_block) {
    const mem::heap_report report = heap_.check();
    if (report.fault != mem::heap_fault::none) detour_ = damage_ = mem::describe(report.fault);
  }
  return mem::describe(fault);
}

template <threads Threads>
typename heap_blocks<Threads>::sight heap_blocks<Threads>::look_at(const void* p) const noexcept {
  const mem::lock held(lock_);
  if (damage_ != nullptr || heap_.inspect(p) == mem::heap_fault::none) return sight::block;
  return heap_.find_region(p) != nullptr ? sight::arena : sight::elsewhere;
}

// Looks at the blocks that wait.
template <threads Threads>
void heap_blocks<Threads>::settle() const noexcept {
  if (damage_ != nullptr) return;
  for (given_block& block : waiting_) {
    if (block.at == nullptr) continue;
    const mem::heap_fault fault = heap_.deallocate(block.at, block.bytes).fault;
    if (fault != mem::heap_fault::none) {
      ledger_.not_taken_back(block.bytes);
      // Who settles again and again, and never tells, has told of the first ones then.
      if (wrong_count_ < wrong_.size()) wrong_[wrong_count_++] = {fault, block};
    }
    block = {};
  }
}

template <threads Threads>
void heap_blocks<Threads>::settle_all() const noexcept {
  const mem::look allowed;
  const mem::lock held(lock_);
  settle();
}

template <threads Threads>
heap_figures heap_blocks<Threads>::figures() const noexcept {
  const mem::heap_counters c = heap_.counters();
  return {.arenas = c.regions,
          .used = c.used,
          .free = c.free + c.kept,
          .overhead = c.fences,
          .frees = ledger_.deallocations() + inspected_.waiting(),
          .frees_at_last_compaction = frees_at_last_compaction_,
          .compactions = compactions_};
}

template <threads Threads>
statistics heap_blocks<Threads>::stats() const noexcept {
  const mem::look allowed;
  const mem::lock held(lock_);
  settle();
  const heap_figures f = figures();
  statistics figures = ledger_.figures();
  figures.upstream = f.arenas;
  figures.kept = f.free;
  figures.overhead = f.used - figures.live + f.overhead;
  return inspected_.over(figures);
}

template <threads Threads>
heap_figures heap_blocks<Threads>::counters() const noexcept {
  const mem::look allowed;
  const mem::lock held(lock_);
  settle();
  return figures();
}

template <threads Threads>
fault heap_blocks<Threads>::check() const noexcept {
  const mem::look allowed;
  const mem::lock held(lock_);
  if (damage_ != nullptr) return {damage_, nullptr};
  settle();
  const mem::heap_report report = heap_.check();
  if (report.fault != mem::heap_fault::none) return {mem::describe(report.fault), report.where};
  if (heap_.counters().used_blocks != ledger_.blocks()) {
    return {"blocks handed out and blocks in use differ", nullptr};
  }
  return {};
}

template <threads Threads>
fault heap_blocks<Threads>::check(const void* p) const noexcept {
  const mem::look allowed;
  const mem::lock held(lock_);
  if (damage_ != nullptr) return {damage_, nullptr};
  settle();
  if (p == nullptr) return {};
  const mem::heap_report found = heap_.check(p);
  return found.fault == mem::heap_fault::none ? fault{} : fault{mem::describe(found.fault), found.where};
}

template <threads Threads>
bool heap_blocks<Threads>::holds(const void* p) const noexcept {
  const mem::look allowed;
  const mem::lock held(lock_);
  settle();
  return heap_.inspect(p) == mem::heap_fault::none && inspected_.is_live(p);
}

template <threads Threads>
void heap_blocks<Threads>::walk(absl::FunctionRef<void(const mem::region&)> arenas,
                                absl::FunctionRef<void(const mem::heap_block&)> blocks) const {
  const mem::look allowed;
  const mem::lock held(lock_);
  settle();
  heap_.walk(arenas, blocks);
}

template <threads Threads>
std::size_t heap_blocks<Threads>::usable_size(const void* p) const noexcept {
  const mem::look allowed;
  const mem::lock held(lock_);  // a neighbour that goes writes into the word that says so
  return mem::inspected() ? inspected_.bytes_at(p) : mem::boundary_heap::usable_size(p);
}

template <threads Threads>
std::size_t heap_blocks<Threads>::usable_size(void* p, std::size_t bytes) noexcept {
  const mem::look allowed;
  const mem::lock held(lock_);
  const std::size_t all = heap_.take_slack(p);
  ledger_.resized(bytes, all);
  if (mem::inspected()) inspected_.resize(p, all, all);
  return all;
}

template <threads Threads>
bool heap_blocks<Threads>::try_resize(void* p, std::size_t old_bytes, std::size_t bytes) noexcept {
  const mem::look allowed;
  const mem::lock held(lock_);
  if (damage_ != nullptr || !inspected_.is_live(p) || !heap_.resize(p, bytes)) return false;
  ledger_.resized(old_bytes, bytes);
  if (mem::inspected()) inspected_.resize(p, bytes, bytes);
  return true;
}

template <threads Threads>
std::size_t heap_blocks<Threads>::try_expand(void* p, std::size_t old_bytes, std::size_t least,
                                             std::size_t most) noexcept {
  const mem::look allowed;
  const mem::lock held(lock_);
  const std::size_t bytes = std::min(most, heap_.room_at(p));
  if (damage_ != nullptr || bytes < least || !heap_.resize(p, bytes)) return old_bytes;
  ledger_.resized(old_bytes, bytes);
  if (mem::inspected()) inspected_.resize(p, bytes, bytes);
  return bytes;
}

template <threads Threads>
void heap_blocks<Threads>::set_owner(void* p, block_owner& owner) noexcept {
  const mem::look allowed;
  const mem::lock held(lock_);
  mem::heap_mover(heap_).set_owner(p, &owner);
}

template <threads Threads>
bool heap_blocks<Threads>::is_movable(const void* p) const noexcept {
  const mem::look allowed;
  const mem::lock held(lock_);
  return mem::heap_mover::is_movable(p);
}

template <threads Threads>
heap_request heap_blocks<Threads>::like(const void* p, std::size_t bytes, std::size_t alignment) const noexcept {
  const mem::look allowed;
  const mem::lock held(lock_);
  if (!mem::heap_mover::is_movable(p)) return {.bytes = bytes, .alignment = alignment};
  return {.what = heap_request::kind::movable,
          .bytes = bytes,
          .alignment = std::max(alignment, mem::heap_mover::alignment(p)),
          .subject = mem::heap_mover::owner(p)};
}

template <threads Threads>
typename heap_blocks<Threads>::neighbours heap_blocks<Threads>::neighbours_of(const arena& coming) const noexcept {
  const mem::look allowed;
  const mem::lock held(lock_);
  neighbours found;
  const void* const end = mem::at<std::byte>(coming.start, static_cast<std::ptrdiff_t>(coming.bytes));
  if (const mem::region* const above = heap_.find_region(end); above == end) found.upper = {end, above->bytes};
  const mem::region* const below = heap_.find_region(mem::at<std::byte>(coming.start, -1));
  if (below != nullptr) found.lower = {below, below->bytes};
  return found;
}

template <threads Threads>
void* heap_blocks<Threads>::add(void* start, std::size_t bytes, bool with_lower, bool with_upper,
                                const heap_request& r) noexcept {
  const mem::look allowed;
  const mem::lock held(lock_);
  if (mem::inspected()) mem::hide(mem::at<std::byte>(start, sizeof(mem::region)), bytes - sizeof(mem::region));
  heap_.add(start, bytes,
            [&](const mem::region& lower, const mem::region&) { return &lower == start ? with_upper : with_lower; });
  return r.serve_from(heap_, ledger_);
}

template <threads Threads>
typename heap_blocks<Threads>::leaving heap_blocks<Threads>::remove(mem::region* r) noexcept {
  if (r == nullptr) return {};
  const leaving gone{r, r->bytes};
  heap_.remove(r);
  if (mem::inspected()) mem::show(gone.start, gone.bytes);
  return gone;
}

template <threads Threads>
typename heap_blocks<Threads>::leaving heap_blocks<Threads>::remove_excess() noexcept {
  const mem::look allowed;
  const mem::lock held(lock_);
  return damage_ == nullptr && has_excess() ? remove(heap_.empty_region()) : leaving{};
}

template <threads Threads>
typename heap_blocks<Threads>::leaving heap_blocks<Threads>::remove_empty() noexcept {
  const mem::look allowed;
  const mem::lock held(lock_);
  if (damage_ != nullptr) return {};
  settle();
  heap_.join_kept();
  return remove(heap_.empty_region());
}

template <threads Threads>
typename heap_blocks<Threads>::leaving heap_blocks<Threads>::remove_empty(std::size_t most) noexcept {
  const mem::look allowed;
  const mem::lock held(lock_);
  if (damage_ != nullptr) return {};
  mem::region* r = heap_.empty_region();
  while (r != nullptr && r->bytes > most) r = r->next;
  return remove(r);
}

// What becomes empty here was of no use for as long as the blocks that waited.
template <threads Threads>
std::size_t heap_blocks<Threads>::unused(std::uint64_t now) noexcept {
  const mem::look allowed;
  const mem::lock held(lock_);
  if (damage_ != nullptr) return 0;
  const std::size_t empty = heap_.counters().empty;
  const std::size_t unused = decay_.look(now, heap_.take_low_empty(), empty);
  const std::size_t uses = ledger_.figures().allocations + ledger_.deallocations();
  if (!idle_.look(decay_.period(), now, uses != std::exchange(uses_seen_, uses))) return unused;
  settle();
  heap_.join_kept();
  const std::size_t joined = heap_.counters().empty - empty;
  decay_.found(joined);
  (void)heap_.take_low_empty();
  return unused + joined;
}

template <threads Threads>
void heap_blocks<Threads>::gave(std::size_t bytes) noexcept {
  const mem::look allowed;
  const mem::lock held(lock_);
  decay_.gave(bytes);
}

template <threads Threads>
void heap_blocks<Threads>::discard_free() noexcept {
  const mem::look allowed;
  const mem::lock held(lock_);
  if (damage_ == nullptr) heap_.discard_free();
}

template <threads Threads>
mem::region* heap_blocks<Threads>::clear() noexcept {
  const mem::look allowed;
  const mem::lock held(lock_);
  waiting_.fill({});
  wrong_count_ = 0;
  ledger_.released();
  damage_ = nullptr;
  detour_ = why_inspected();
  inspected_.forget_all();
  return heap_.clear();
}

template <threads Threads>
bool heap_blocks<Threads>::start_moving() noexcept {
  const mem::look allowed;
  const mem::lock held(lock_);
  settle();
  mem::heap_mover mover(heap_);
  // Where threads share the heap, whose turn it is says so; and a child of a fork has a turn of its own.
  if (Threads == threads::one && moving_) return false;
  if (heap_.movable_blocks() == 0 || !mover.worthwhile()) return false;
  mover.start();
  ++compactions_;
  frees_at_last_compaction_ = figures().frees;
  return moving_ = true;
}

template <threads Threads>
mem::heap_step heap_blocks<Threads>::move_one(mem::heap_move& move) noexcept {
  const mem::look allowed;
  const mem::lock held(lock_);
  const mem::heap_step step = mem::heap_mover(heap_).step(move);
  if (mem::inspected() && step == mem::heap_step::moved) inspected_.move(move.from, move.to);
  return step;
}

template <threads Threads>
void heap_blocks<Threads>::end_moving() noexcept {
  const mem::look allowed;
  const mem::lock held(lock_);
  moving_ = false;
}

template class heap_blocks<threads::one>;
template class heap_blocks<threads::any>;

}  // namespace strata::pmr
