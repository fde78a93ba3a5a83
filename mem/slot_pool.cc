// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <new>

module strata.mem:slot_pool.impl;

import :bytes;
import :chunk_table;
import :lifo;
import :slot_pool;
import :slot_shape;
import :threads;

namespace strata::mem {

template <threads Threads>
slot_fault slot_pool<Threads>::find(const void* p, place& at, std::uint32_t& number) const noexcept {
  const chunk_table::entry* const e = chunks_.find(p);
  if (e == nullptr) return slot_fault::foreign;
  const std::uint32_t i = shape_.slot_at(address(p) & (shape_.chunk_bytes - 1));
  if (i >= shape_.slots) return slot_fault::not_a_slot;
  at = {const_cast<void*>(p), words_of(*e) + i};
  number = (e->number.load(std::memory_order_relaxed) << shape_.number_bits) | i;
  return slot_fault::none;
}

template <threads Threads>
void* slot_pool<Threads>::take() noexcept {
  const std::uint32_t n = free_.pop(links());
  return n == stack::none ? nullptr : place_of(n).slot;
}

template <threads Threads>
slot_fault slot_pool<Threads>::put(void* p) noexcept {
  place at{};
  std::uint32_t n = 0;
  if (const slot_fault fault = find(p, at, n); fault != slot_fault::none) return fault;
  return free_.push(links(), n) ? slot_fault::none : slot_fault::already_free;
}

template <threads Threads>
std::size_t slot_pool<Threads>::take(place* out, std::size_t wanted) noexcept {
  std::array<std::uint32_t, max_batch> numbers;
  const std::size_t count = free_.pop_some(links(), numbers.data(), wanted);
  for (std::size_t i = 0; i < count; ++i) out[count - 1 - i] = place_of(numbers[i]);
  return count;
}

template <threads Threads>
void slot_pool<Threads>::put(const place* in, std::size_t count) noexcept {
  if (count == 0) return;
  const auto number_of = [this](const place& p) {
    place at{};
    std::uint32_t n = 0;
    (void)find(p.slot, at, n);
    return n;
  };
  const std::uint32_t last = number_of(in[0]);
  std::uint32_t first = last;
  for (std::size_t i = 1; i < count; ++i) {
    in[i].state->store(first, std::memory_order_release);
    first = number_of(in[i]);
  }
  free_.push_chain(links(), first, last);
}

template <threads Threads>
bool slot_pool<Threads>::may_add() const noexcept {
  if (chunks_.vacant() != chunk_table::none) return true;
  return ((std::uint64_t{chunks_.numbers()} + 1) << shape_.number_bits) <= stack::limit;
}

template <threads Threads>
std::size_t slot_pool<Threads>::wanted_words() const noexcept {
  return chunks_.vacant() != chunk_table::none ? 0 : words_bytes();
}

template <threads Threads>
void slot_pool<Threads>::add(void* chunk, void* words) noexcept {
  if (words != nullptr) {
    for (std::uint32_t i = 0; i < shape_.slots; ++i) ::new (at<word>(words, 0) + i) word(stack::idle);
  }
  put_in(chunks_.add(chunk, words));
}

// Slots come out in rising order, as a chunk's neighbours are used together. Others may be reading words that were used
// before.
template <threads Threads>
void slot_pool<Threads>::put_in(std::uint32_t chunk) noexcept {
  const std::uint32_t first = chunk << shape_.number_bits;
  word* const links_of = words_of(chunks_.at(chunk));
  for (std::uint32_t i = 0; i < shape_.slots; ++i) links_of[i].store(first + i + 1, std::memory_order_release);
  free_.push_chain(links(), first, first + shape_.slots - 1);
}

// What is in is taken out, counted by chunk, and put in again, but for chunks that are complete. There are as many of
// those as the walk finds: a slot that comes in meanwhile was not among them, so its chunk is not complete.
template <threads Threads>
void slot_pool<Threads>::rest() noexcept {
  for (std::uint32_t c = 0; c < chunks_.numbers(); ++c) {
    if (!rests(c)) chunks_.tally(c) = 0;
  }
  const std::uint32_t all = free_.take_all();
  for (std::uint32_t n = all; n != stack::none; n = links()(n).load(std::memory_order_relaxed)) {
    if (++chunks_.tally(n >> shape_.number_bits) == shape_.slots) ++resting_;
  }
  std::uint32_t first = stack::none;
  std::uint32_t last = stack::none;
  for (std::uint32_t n = all; n != stack::none;) {
    word& own = links()(n);
    const std::uint32_t next = own.load(std::memory_order_relaxed);
    if (rests(n >> shape_.number_bits)) {
      own.store(stack::idle, std::memory_order_relaxed);
    } else if (last == stack::none) {
      first = last = n;
    } else {
      links()(last).store(n, std::memory_order_release);
      last = n;
    }
    n = next;
  }
  if (last != stack::none) free_.push_chain(links(), first, last);
  first_resting_ = 0;
  end_resting_ = chunks_.numbers();
}

// The lowest number first, so that it is the same ones that rest while the load is the same.
template <threads Threads>
bool slot_pool<Threads>::wake() noexcept {
  if (resting_ == 0) return false;
  while (!rests(first_resting_)) ++first_resting_;
  --resting_;
  chunks_.tally(first_resting_) = 0;
  put_in(first_resting_++);
  return true;
}

template <threads Threads>
void* slot_pool<Threads>::take_resting() noexcept {
  if (resting_ == 0) return nullptr;
  while (!rests(--end_resting_)) continue;
  --resting_;
  chunks_.tally(end_resting_) = 0;
  void* const chunk = parts_of(end_resting_).chunk;
  chunks_.remove(end_resting_);
  return chunk;
}

template <threads Threads>
typename slot_pool<Threads>::parts slot_pool<Threads>::parts_of(std::uint32_t number) const noexcept {
  const chunk_table::record& r = chunks_.at(number);
  return {r.chunk.load(std::memory_order_relaxed), r.aside.load(std::memory_order_relaxed)};
}

template <threads Threads>
const char* slot_pool<Threads>::check() const noexcept {
  for (std::uint32_t c = 0; c < chunks_.numbers(); ++c) {
    const chunk_table::record& r = chunks_.at(c);
    std::byte* const chunk = r.chunk.load(std::memory_order_relaxed);
    if (chunk == nullptr) continue;
    const chunk_table::entry* const e = chunks_.find(chunk);
    const bool leads_here = e != nullptr && e->number.load(std::memory_order_relaxed) == c;
    if (!leads_here && r.chunk.load(std::memory_order_relaxed) == chunk) return "a chunk's address leads elsewhere";
    for (std::uint32_t i = 0; i < shape_.slots; ++i) {
      const std::uint32_t next = words_of(r)[i].load(std::memory_order_acquire);
      if (next >= stack::limit) continue;
      if (next >> shape_.number_bits >= chunks_.numbers() || (next & slot_mask()) >= shape_.slots) {
        return "a free slot's link leads nowhere";
      }
    }
  }
  return nullptr;
}

template class slot_pool<threads::any>;
template class slot_pool<threads::one>;

}  // namespace strata::mem
