// SPDX-License-Identifier: Apache-2.0
module;
#include <bit>
#include <cstddef>
#include <cstdint>
#include <new>

#include "absl/base/thread_annotations.h"

module strata.mem:tracked_blocks.impl;

import :address_counts;
import :address_sieve;
import :block_book;
import :bytes;
import :mutex;
import :page_run;
import :sampling_meter;
import :stack_table;
import :threads;
import :tracked_blocks;
import :usage_scopes;

namespace strata::mem {

namespace {

void add(sample_weight& to, const sample_weight& what) noexcept {
  to.blocks += what.blocks;
  to.bytes += what.bytes;
}

void subtract(sample_weight& from, const sample_weight& what) noexcept {
  from.blocks -= what.blocks;
  from.bytes -= what.bytes;
}

}  // namespace

const char* describe(tracked_fault fault) noexcept {
  switch (fault) {
    case tracked_fault::none:
      return "nothing is wrong";
    case tracked_fault::absent:
      return "the pointer is no live block of this memory";
    case tracked_fault::other_size:
      return "a tracked block comes back with another size than it was allocated with";
    case tracked_fault::other_alignment:
      return "a tracked block comes back with another alignment than it was allocated with";
    case tracked_fault::handed_out_twice:
      return "the memory below handed out a block that is live: it was deallocated there behind this layer's back, or "
             "its books are wrong";
    case tracked_fault::no_memory:
      return "there is no memory to remember the block in";
  }
  return "an unknown fault";
}

template <threads Threads>
tracked_blocks<Threads>::tracked_blocks(const tracking_plan& plan) noexcept
    : plan_(plan), stacks_({.max_bytes = plan.stack_bytes}), book_(0, SIZE_MAX, 0) {
  if (knows_all()) sieve_.let_all_through();
}

// Should the OS not take them back, they are no more than was needed.
template <threads Threads>
tracked_blocks<Threads>::~tracked_blocks() {
  const lock held(lock_);
  for (std::size_t i = 0; i < chunk_count_; ++i) static_cast<void>(unmap_run(chunks_[i]));
}

template <threads Threads>
tracked_place* tracked_blocks<Threads>::at(std::size_t number) const noexcept {
  const auto chunk = static_cast<std::size_t>(std::bit_width(number / first_chunk + 1)) - 1;
  const std::size_t first = ((std::size_t{1} << chunk) - 1) * first_chunk;
  return mem::at<tracked_place>(chunks_[chunk].base,
                                static_cast<std::ptrdiff_t>((number - first) * sizeof(tracked_place)));
}

template <threads Threads>
std::size_t tracked_blocks<Threads>::place_of(std::uint32_t stack, os_error& refused) noexcept {
  if (const std::size_t known = by_stack_.count(std::uintptr_t{stack} + 1); known != 0) return known - 1;
  const std::size_t capacity = ((std::size_t{1} << chunk_count_) - 1) * first_chunk;
  if (extent_ == capacity) {
    if (chunk_count_ == chunks_.size()) return extent_;
    const page_run_result fresh =
        map_run((first_chunk << chunk_count_) * sizeof(tracked_place), page_bytes(), {.label = "strata: call sites"});
    refused = fresh.error;
    if (refused.failed()) return extent_;
    chunks_[chunk_count_++] = fresh.run;
  }
  refused = by_stack_.prepare(1);
  if (refused.failed()) return extent_;
  const std::size_t number = extent_++;
  ::new (at(number)) tracked_place{.stack = stack};
  by_stack_.put(std::uintptr_t{stack} + 1, number + 1);
  return number;
}

template <threads Threads>
void tracked_blocks<Threads>::add_to_sieve(std::uintptr_t block) noexcept {
  if (sieve_.is_crowded()) {
    sieve_.grow([this](auto&& enter) ABSL_NO_THREAD_SAFETY_ANALYSIS {  // under the lock
      book_.visit([&enter](const book_entry* e) {
        if (e->state == book_state::live) enter(e->block);
      });
    });
  }
  sieve_.add(block);
}

template <threads Threads>
typename tracked_blocks<Threads>::answer tracked_blocks<Threads>::admit(const void* block, std::size_t bytes,
                                                                        std::size_t alignment, std::uint32_t thread,
                                                                        stack_table::stack from) noexcept {
  const std::uint32_t stack = stacks_.insert(from);
  const sample_weight weight = weight_of(bytes, plan_.mean);
  const lock held(lock_);
  if (const book_entry* const there = book_.find(address(block)); there != nullptr) {
    return {tracked_fault::handed_out_twice, there->bytes, there->alignment, at(there->number)->stack, there->made_by};
  }
  const block_book::promise_result promised = book_.promise();
  if (promised.entry == nullptr) return {.fault = tracked_fault::no_memory, .error = promised.error};
  os_error refused;
  const std::size_t number = place_of(stack, refused);
  if (number == extent_) {
    book_.withdraw(promised.entry);
    return {.fault = tracked_fault::no_memory, .error = refused};
  }
  book_entry* const entry = promised.entry;
  entry->block = address(block);
  entry->bytes = bytes;
  entry->front = 0;
  entry->whole = bytes;
  entry->alignment = alignment;
  entry->number = number;
  entry->made_by = thread;
  add_to_sieve(entry->block);
  book_.enter(entry);
  tracked_place* const place = at(number);
  add(place->all, weight);
  add(place->live, weight);
  if (knows_all()) {
    counts_.handed_out += bytes;
    ++counts_.allocations;
    scopes_.note(counts_.live());
  }
  return {};
}

template <threads Threads>
typename tracked_blocks<Threads>::answer tracked_blocks<Threads>::take(const void* block, std::size_t bytes,
                                                                       std::size_t alignment) noexcept {
  const sample_weight weight = weight_of(bytes, plan_.mean);
  const lock held(lock_);
  book_entry* const entry = book_.find(address(block));
  if (entry == nullptr) return {.fault = tracked_fault::absent};
  tracked_place* const place = at(entry->number);
  answer known{tracked_fault::none, entry->bytes, entry->alignment, place->stack, entry->made_by};
  if (entry->bytes != bytes) known.fault = tracked_fault::other_size;
  if (entry->bytes == bytes && entry->alignment != alignment) known.fault = tracked_fault::other_alignment;
  if (known.fault != tracked_fault::none) return known;
  book_.leave(entry);
  book_.dismiss(entry);
  sieve_.remove(address(block));
  subtract(place->live, weight);
  if (knows_all()) {
    counts_.taken_back += bytes;
    ++counts_.deallocations;
  }
  return known;
}

template <threads Threads>
void tracked_blocks<Threads>::forget_all() noexcept {
  const lock held(lock_);
  book_.visit([this](book_entry* e) ABSL_NO_THREAD_SAFETY_ANALYSIS {  // under the lock
    if (e->state != book_state::live) return;
    sieve_.remove(e->block);
    book_.leave(e);
    book_.dismiss(e);
  });
  for (std::size_t i = 0; i < extent_; ++i) at(i)->live = {0, 0};
  counts_.taken_back = counts_.handed_out;
  counts_.deallocations = counts_.allocations;
}

template <threads Threads>
metered tracked_blocks<Threads>::count() const noexcept {
  const lock held(lock_);
  return counts_;
}

template <threads Threads>
std::size_t tracked_blocks<Threads>::peak() const noexcept {
  const lock held(lock_);
  return scopes_.peak();
}

template <threads Threads>
void tracked_blocks<Threads>::note(std::size_t live) noexcept {
  const lock held(lock_);
  scopes_.note(live);
}

template <threads Threads>
bool tracked_blocks<Threads>::push(const metered* brought) noexcept {
  const lock held(lock_);
  if (scopes_.is_full()) return false;
  scopes_.push(brought != nullptr ? *brought : counts_);
  return true;
}

template <threads Threads>
bool tracked_blocks<Threads>::pop(const metered* brought, scope_usage& out) noexcept {
  const lock held(lock_);
  if (scopes_.depth() == 0) return false;
  out = scopes_.pop(brought != nullptr ? *brought : counts_);
  return true;
}

template <threads Threads>
std::size_t tracked_blocks<Threads>::extent() const noexcept {
  const lock held(lock_);
  return extent_;
}

template <threads Threads>
tracked_place tracked_blocks<Threads>::place(std::size_t number) const noexcept {
  const lock held(lock_);
  return *at(number);
}

template <threads Threads>
std::size_t tracked_blocks<Threads>::size() const noexcept {
  const lock held(lock_);
  return sieve_.size();
}

template <threads Threads>
const char* tracked_blocks<Threads>::check() const noexcept {
  const lock held(lock_);
  if (const char* const wrong = book_.check(); wrong != nullptr) return wrong;
  sample_weight in_places{0, 0};
  for (std::size_t i = 0; i < extent_; ++i) add(in_places, at(i)->live);
  sample_weight in_book{0, 0};
  std::size_t live = 0;
  book_.visit([&](const book_entry* e) {
    if (e->state != book_state::live) return;
    ++live;
    add(in_book, weight_of(e->bytes, plan_.mean));
  });
  if (in_places.blocks != in_book.blocks || in_places.bytes != in_book.bytes) {
    return "what is live by call stack is not what the tracked blocks are";
  }
  const auto visit_all = [this](auto&& visitor) ABSL_NO_THREAD_SAFETY_ANALYSIS {  // under the lock
    book_.visit([&visitor](const book_entry* e) {
      if (e->state == book_state::live) visitor(e->block);
    });
  };
  if (!sieve_.holds_just(live, visit_all)) return "tracked blocks are not those of the sieve";
  if (knows_all() && live != counts_.blocks()) return "tracked blocks are more or fewer than were counted";
  return stacks_.check();
}

template class tracked_blocks<threads::any>;
template class tracked_blocks<threads::one>;

}  // namespace strata::mem
