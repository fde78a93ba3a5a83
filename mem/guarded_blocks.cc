// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "absl/base/thread_annotations.h"

module strata.mem:guarded_blocks.impl;

import :address_outline;
import :block_book;
import :bytes;
import :fill;
import :guard_shape;
import :guarded_blocks;
import :mutex;
import :page_guards;
import :page_run;
import :threads;

namespace strata::mem {

namespace {

// What is noted of an entry.
constexpr std::uint8_t protected_ranges = 3;  ///< how many: two bits
constexpr std::uint8_t marked = 4;            ///< guards of the kernel are set
constexpr std::uint8_t stranded = 8;
constexpr std::uint8_t half = 16;  ///< not on every side that was wanted

constinit std::atomic<std::uint64_t> made{0};

std::uint64_t new_key(const void* of) noexcept {
  const std::uint64_t seed = (made.fetch_add(1, std::memory_order_relaxed) << 48U) + address(of);
  return (seed ^ (seed >> 31U)) * 0xBF58'476D'1CE4'E5B9U;
}

std::byte* start_of(const book_entry* e) noexcept { return reinterpret_cast<std::byte*>(e->block - e->front); }
std::byte* block_of(const book_entry* e) noexcept { return reinterpret_cast<std::byte*>(e->block); }

std::size_t ranges_of(const book_entry* e) noexcept { return e->marks & protected_ranges; }

}  // namespace

const char* describe(guarded_fault fault) noexcept {
  switch (fault) {
    case guarded_fault::none:
      return "nothing is wrong";
    case guarded_fault::absent:
      return "the pointer is no block of these guards";
    case guarded_fault::freed_twice:
      return "a guarded block comes back a second time";
    case guarded_fault::other_size:
      return "a guarded block comes back with another size than it was allocated with";
    case guarded_fault::other_alignment:
      return "a guarded block comes back with another alignment than it was allocated with";
    case guarded_fault::overrun:
      return "a guarded block was written beyond its end, short of its guard";
    case guarded_fault::underrun:
      return "a guarded block was written before its start, short of its guard";
  }
  return "an unknown fault";
}

template <threads Threads>
guarded_blocks<Threads>::guarded_blocks(const guarded_plan& plan) noexcept
    : plan_(plan), page_(page_bytes()), key_(new_key(this)), guards_(plan.mapping_budget), book_(0, SIZE_MAX, 0) {}

template <threads Threads>
guarded_blocks<Threads>::~guarded_blocks() {
  const lock held(lock_);
  book_.visit([this](book_entry* e) {
    if (e->state == book_state::live) static_cast<void>(lift(e));
  });
}

template <threads Threads>
bool guarded_blocks<Threads>::shape_of(std::size_t bytes, std::size_t alignment, guard_shape& out) const noexcept {
  return shape_for(plan_.sides, bytes, alignment, page_, out);
}

template <threads Threads>
bool guarded_blocks<Threads>::has_room() const noexcept {
  return guards_.has_room_for((plan_.sides.before ? 1U : 0U) + (plan_.sides.after ? 1U : 0U));
}

template <threads Threads>
block_book::promise_result guarded_blocks<Threads>::promise() noexcept {
  const lock held(lock_);
  return book_.promise();
}

template <threads Threads>
void guarded_blocks<Threads>::withdraw(book_entry* entry) noexcept {
  const lock held(lock_);
  book_.withdraw(entry);
}

// Guards one range of an entry that is nobody else's, and notes how.
template <threads Threads>
void guarded_blocks<Threads>::guard_range(book_entry* entry, void* base, std::size_t bytes, admitted& out) noexcept {
  const page_guards::outcome set = guards_.set(base, bytes);
  switch (set.by) {
    case page_guards::means::marks:
      entry->marks |= marked;
      return;
    case page_guards::means::protection:
      ++entry->marks;  // never more than three
      return;
    case page_guards::means::none:
      break;
  }
  entry->marks |= half;
  out.guarded = false;
  out.over_budget = !set.error.failed();
  out.error = set.error;
}

template <threads Threads>
os_error guarded_blocks<Threads>::lift(book_entry* entry) noexcept {
  // What was refused may have been set in part: the kernel knows.
  const bool marks = (entry->marks & (marked | half)) != 0 && !guards_.costs_mappings();
  const os_error refused = guards_.lift(start_of(entry), entry->whole, marks, ranges_of(entry));
  if (!refused.failed()) entry->marks = 0;
  return refused;
}

template <threads Threads>
typename guarded_blocks<Threads>::admitted guarded_blocks<Threads>::admit(book_entry* entry, const arrival& block,
                                                                          bool must) noexcept {
  entry->block = address(block.start) + block.size.front;
  entry->bytes = block.bytes;
  entry->front = block.size.front;
  entry->whole = block.size.whole;
  entry->alignment = block.alignment;
  entry->marks = 0;
  admitted out{block_of(entry), true, false, {}, false};
  auto* const start = static_cast<std::byte*>(block.start);
  if (block.size.lead != 0) guard_range(entry, start + block.size.lead - page_, page_, out);
  if (block.size.trail() != 0) guard_range(entry, start + block.size.lead + block.size.room, page_, out);
  if (!out.guarded && must) {
    out.block = nullptr;
    out.stranded = lift(entry).failed();
    const lock held(lock_);
    if (out.stranded) {
      book_.enter(entry);
      outline_.add(entry->block);
      book_.leave(entry);
      strand(entry);
    } else {
      book_.withdraw(entry);
    }
    return out;
  }
  fill(entry);
  const lock held(lock_);
  book_.enter(entry);
  outline_.add(entry->block);
  ++figures_.blocks;
  figures_.bytes += entry->bytes;
  figures_.whole += entry->whole;
  if (ranges_of(entry) != 0) ++figures_.protected_now;
  return out;
}

template <threads Threads>
typename guarded_blocks<Threads>::taken guarded_blocks<Threads>::judge(book_entry* entry, std::size_t bytes,
                                                                       std::size_t alignment) const noexcept {
  taken out;
  if (entry == nullptr) {
    out.fault = guarded_fault::absent;
    return out;
  }
  out.bytes = entry->bytes;
  out.alignment = entry->alignment;
  if (entry->state != book_state::live) {
    out.fault = guarded_fault::freed_twice;
  } else if (entry->bytes != bytes) {
    out.fault = guarded_fault::other_size;
  } else if (entry->alignment != alignment) {
    out.fault = guarded_fault::other_alignment;
  } else {
    out.fault = inspect(entry, out.where);
  }
  return out;
}

template <threads Threads>
typename guarded_blocks<Threads>::taken guarded_blocks<Threads>::take(const void* block, std::size_t bytes,
                                                                      std::size_t alignment) noexcept {
  const lock held(lock_);
  book_entry* const entry = book_.find(address(block));
  taken out = judge(entry, bytes, alignment);
  if (out.fault != guarded_fault::none) return out;
  book_.leave(entry);
  --figures_.blocks;
  figures_.bytes -= entry->bytes;
  figures_.whole -= entry->whole;
  if (ranges_of(entry) != 0) --figures_.protected_now;
  out.entry = entry;
  return out;
}

template <threads Threads>
typename guarded_blocks<Threads>::departure guarded_blocks<Threads>::departure_of(
    const book_entry* entry) const noexcept {
  return {start_of(entry), entry->whole, std::max(entry->alignment, page_)};
}

// Pre: leaving.
template <threads Threads>
void guarded_blocks<Threads>::strand(book_entry* entry) noexcept {
  if ((entry->marks & stranded) == 0) figures_.stranded += entry->whole;
  entry->marks |= stranded;
  figures_.held += entry->whole;
  book_.hold(entry);
}

template <threads Threads>
typename guarded_blocks<Threads>::departure guarded_blocks<Threads>::put_away(book_entry* entry,
                                                                              os_error& refused) noexcept {
  refused = {};
  if (plan_.hold_bytes >= entry->whole) {
    const guard_shape size = shape_again(entry);
    admitted whole{};
    whole.guarded = true;
    if (size.room != 0) guard_range(entry, start_of(entry) + size.lead, size.room, whole);
    if (whole.guarded) {
      const lock held(lock_);
      figures_.held += entry->whole;
      book_.hold(entry);
      return {};
    }
    // It cannot be made inaccessible, so there is nothing in holding it.
  }
  const departure out = departure_of(entry);
  refused = lift(entry);
  const lock held(lock_);
  if (refused.failed()) {
    strand(entry);
    return {};
  }
  outline_.remove(entry->block);
  book_.dismiss(entry);
  return out;
}

template <threads Threads>
typename guarded_blocks<Threads>::departure guarded_blocks<Threads>::next_released(bool all) noexcept {
  const lock held(lock_);
  for (book_entry* e = book_.oldest_held(); e != nullptr; e = e->next) {
    if (!all && figures_.held <= plan_.hold_bytes) break;
    const bool was_stranded = (e->marks & stranded) != 0;
    if (!lift(e).failed()) {
      const departure out = departure_of(e);
      figures_.held -= e->whole;
      if (was_stranded) figures_.stranded -= e->whole;
      outline_.remove(e->block);
      book_.dismiss(e);
      return out;
    }
    if (!was_stranded) figures_.stranded += e->whole;
    e->marks |= stranded;
    // Those behind it mostly wait for the same thing: looked at when nothing may be left.
    if (!all) break;
  }
  return {};
}

template <threads Threads>
bool guarded_blocks<Threads>::is_guarded(const void* p) const noexcept {
  if (!may_know(p)) return false;
  const lock held(lock_);
  const book_entry* const entry = book_.find(address(p));
  return entry != nullptr && entry->state == book_state::live && (entry->marks & half) == 0;
}

template <threads Threads>
typename guarded_blocks<Threads>::contradiction guarded_blocks<Threads>::check() const noexcept {
  const lock held(lock_);
  if (const char* const wrong = book_.check(); wrong != nullptr) return {wrong, nullptr};
  contradiction found{};
  address_outline::counts outline{};
  std::size_t live = 0;
  book_.visit([&](book_entry* entry) {
    if (entry->state != book_state::promised) ++outline[address_outline::hash(entry->block)];
    if (entry->state != book_state::live) return;
    ++live;
    const void* where = nullptr;
    const guarded_fault fault = inspect(entry, where);
    if (fault != guarded_fault::none) found = {describe(fault), where};
  });
  if (found.sentence != nullptr) return found;
  if (live != figures_.blocks) return {"guarded blocks are more or fewer than were counted", nullptr};
  if (!outline_.is(outline)) return {"guarded blocks are not those of the outline", nullptr};
  return {};
}

template <threads Threads>
guarded_figures guarded_blocks<Threads>::figures() const noexcept {
  const lock held(lock_);
  return figures_;
}

template <threads Threads>
guard_shape guarded_blocks<Threads>::shape_again(const book_entry* entry) const noexcept {
  guard_shape size;
  static_cast<void>(shape_of(entry->bytes, entry->alignment, size));
  return size;
}

template <threads Threads>
void guarded_blocks<Threads>::fill(const book_entry* entry) const noexcept {
  const guard_shape size = shape_again(entry);
  const std::size_t before = std::min(size.front - size.lead, fill_bytes);
  const std::size_t behind = std::min(size.lead + size.room - size.front - entry->bytes, fill_bytes);
  fill_pad(block_of(entry) - before, before, key_);
  fill_pad(block_of(entry) + entry->bytes, behind, key_);
}

template <threads Threads>
guarded_fault guarded_blocks<Threads>::inspect(const book_entry* entry, const void*& where) const noexcept {
  const guard_shape size = shape_again(entry);
  const std::size_t before = std::min(size.front - size.lead, fill_bytes);
  const std::size_t behind = std::min(size.lead + size.room - size.front - entry->bytes, fill_bytes);
  where = find_other_pad(block_of(entry) + entry->bytes, behind, key_);
  if (where != nullptr) return guarded_fault::overrun;
  where = find_other_pad(block_of(entry) - before, before, key_);
  return where != nullptr ? guarded_fault::underrun : guarded_fault::none;
}

template class guarded_blocks<threads::any>;
template class guarded_blocks<threads::one>;

}  // namespace strata::mem
