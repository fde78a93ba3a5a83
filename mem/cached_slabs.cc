// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "absl/functional/function_ref.h"

module strata.mem:cached_slabs.impl;

import :cache_books;
import :cache_registry;
import :cached_slabs;
import :closed_caches;
import :inspector;
import :schedule;
import :size_class;
import :slab;
import :slab_store;
import :sole_cache;
import :thread_cache;
import :threads;

namespace strata::mem {

namespace {

std::size_t cache_class() noexcept { return size_class::of(thread_cache::bytes()); }

void note(refused_slot& first, const refused_slot& also) noexcept {
  if (first.fault == slab_fault::none) first = also;
}

}  // namespace

// A checked store has to see every block, and so has an inspector: then caches are hidden, and every call comes to
// refill() or flush().
template <threads Threads>
cached_slabs<Threads>::cached_slabs(slab_plan slabs, cache_plan caches) noexcept
    : plan_(caches), decay_(slabs.decay), store_(slabs), owner_(&thread_ends, this, slabs.checked || inspected()) {}

template <threads Threads>
cached_slabs<Threads>::~cached_slabs() = default;

template <threads Threads>
void* cached_slabs<Threads>::refill(std::size_t c, std::size_t bytes, refused_slot& refused) noexcept {
  thread_cache* cache = owner_.found();
  if (cache == nullptr) cache = make_cache();
  void* block = nullptr;
  if (cache != nullptr) {
    const cache_use<Threads, thread_cache> mine(*cache);
    block = cache->pop(c, bytes);
    if (block == nullptr) {
      reached(moment::magazine_dry);
      const std::size_t limit = affordable(*cache, c, cache->missed(c, cache_miss::empty), refused);
      cache->set_limit(c, limit);
      if (limit != 0) {
        cache->filled(c, store_.take(c, cache->bottom(c), std::max<std::size_t>(limit / 2, 1)));
        block = cache->pop(c, bytes);
      } else if (store_.take(c, &block, 1) != 0) {
        cache->books.went_past(bytes);
      }
    }
  } else if (store_.take(c, &block, 1) != 0) {
    live_.add(bytes);
    allocations_.add(1);
  }
  if (block == nullptr) reached(moment::span_wanted);
  if (block != nullptr && store_.is_checked()) store_.hand_out(block);
  return block;
}

template <threads Threads>
refused_slot cached_slabs<Threads>::flush(std::size_t c, void* block, std::size_t bytes) noexcept {
  if (store_.is_checked()) {
    if (const slab_fault fault = store_.take_in(c, block); fault != slab_fault::none) return {fault, block};
  }
  thread_cache* cache = owner_.found();
  if (cache == nullptr) cache = make_cache();
  if (cache == nullptr) {
    live_.subtract(bytes);
    deallocations_.add(1);
    return store_.put(c, &block, 1);
  }
  const cache_use<Threads, thread_cache> mine(*cache);
  refused_slot refused;
  if (!cache->push(c, block, bytes)) {
    refused = make_room(*cache, c);
    if (!cache->push(c, block, bytes)) {
      cache->books.came_past(bytes);
      note(refused, store_.put(c, &block, 1));
    }
  }
  return refused;
}

template <threads Threads>
refused_slot cached_slabs<Threads>::trim() noexcept {
  refused_slot refused{untold_.exchange(slab_fault::none, std::memory_order_acquire), untold_slot_};
  note(refused, take_from([](const thread_cache&) { return true; }));
  note(refused, store_.drop_empty_slabs());
  return refused;
}

template <threads Threads>
refused_slot cached_slabs<Threads>::flush_mine() noexcept {
  thread_cache* const cache = owner_.found();
  return cache == nullptr ? refused_slot{} : return_all(*cache);
}

// What an idle cache held was of no use all the while: it stays in no depot.
template <threads Threads>
typename slab_store<Threads>::unused cached_slabs<Threads>::let_go_of_idle(std::uint64_t now) noexcept {
  typename slab_store<Threads>::unused result;
  const std::size_t before = store_.empty_bytes();
  result.refused = take_from([&](thread_cache& cache) { return cache.is_idle(decay_, now); });
  const std::size_t after = store_.empty_bytes();
  result.span_bytes = after - std::min(before, after);
  return result;
}

// Under the registry's lock: no thread ends meanwhile, nor begins a fork.
template <threads Threads>
refused_slot cached_slabs<Threads>::take_from(absl::FunctionRef<bool(thread_cache&)> wanted) noexcept {
  refused_slot refused;
  owner_.hold([&](thread_cache* first) {
    closed_caches<thread_cache> of_others;
    for (thread_cache* cache = first; cache != nullptr; cache = cache->next) {
      if (!wanted(*cache)) continue;
      if (cache == owner_.found()) {
        note(refused, return_all(*cache));
      } else {
        of_others.add(*cache);
      }
    }
    of_others.settle([&](thread_cache& cache) {
      for (std::size_t c = 0; c < size_class::count; ++c) {
        note(refused, store_.put_unused(c, cache.bottom(c), cache.was_inside(c)));
      }
    });
  });
  return refused;
}

template <threads Threads>
refused_slot cached_slabs<Threads>::return_all(thread_cache& cache) noexcept {
  const cache_use<Threads, thread_cache> mine(cache);
  refused_slot refused;
  for (std::size_t c = 0; c < size_class::count; ++c) {
    const std::size_t count = cache.size(c);
    note(refused, store_.put_unused(c, cache.bottom(c), count));
    cache.drop_oldest(c, count);
  }
  return refused;
}

template <threads Threads>
span* cached_slabs<Threads>::clear() noexcept {
  for (const thread_cache* cache = owner_.detach_all(); cache != nullptr; cache = cache->next) keep_counters_of(*cache);
  // What was live is void.
  live_.set(0);
  deallocations_.set(allocations_.get());
  return store_.clear();
}

template <threads Threads>
typename cached_slabs<Threads>::figures cached_slabs<Threads>::count() const noexcept {
  figures sum{.live = live_.get(), .allocations = allocations_.get(), .deallocations = deallocations_.get()};
  owner_.visit([&](const thread_cache& cache) {
    sum.live += cache.books.live();
    sum.allocations += cache.books.out();
    sum.deallocations += cache.books.in();
    sum.caches += size_class::bytes(cache_class());
  });
  return sum;
}

template <threads Threads>
void cached_slabs<Threads>::thread_ends(void* slabs, thread_cache* cache) noexcept {
  auto* const self = static_cast<cached_slabs*>(slabs);
  refused_slot refused;
  {
    const cache_use<Threads, thread_cache> last(*cache);
    refused = self->empty(*cache);
  }
  if (refused.fault != slab_fault::none) {
    self->untold_slot_.store(refused.slot, std::memory_order_relaxed);
    self->untold_.store(refused.fault, std::memory_order_release);
  }
  self->keep_counters_of(*cache);
  self->put_cache(cache);
}

template <threads Threads>
void cached_slabs<Threads>::keep_counters_of(const thread_cache& cache) noexcept {
  live_.add(cache.books.live());
  allocations_.add(cache.books.out());
  deallocations_.add(cache.books.in());
}

// Null when the store has no slot for it just now, or the thread can have none.
template <threads Threads>
thread_cache* cached_slabs<Threads>::make_cache() noexcept {
  void* slot = nullptr;
  if (!owner_.has_number() || store_.take(cache_class(), &slot, 1) == 0) return nullptr;
  if (inspected()) show(slot, size_class::bytes(cache_class()));
  thread_cache* const cache = thread_cache::format(slot);
  reached(moment::cache_made);
  if (owner_.adopt(cache)) return cache;
  put_cache(cache);
  return nullptr;
}

// Gives the slot back that a cache lies in.
template <threads Threads>
void cached_slabs<Threads>::put_cache(thread_cache* cache) noexcept {
  void* slot = cache;
  if (inspected()) hide(slot, size_class::bytes(cache_class()));
  store_.put(cache_class(), &slot, 1);
}

// What the magazine of class `c`, wanting that limit, may have. Where the plan leaves no more, other classes in turn
// give what they have beyond their first limit, or all of it to a class that has not even that.
template <threads Threads>
std::size_t cached_slabs<Threads>::affordable(thread_cache& cache, std::size_t c, std::size_t wanted,
                                              refused_slot& refused) noexcept {
  constexpr int victims = 4;
  const std::size_t bytes = size_class::bytes(c);
  const std::size_t now = cache.limit(c);
  if (wanted <= now) return wanted;
  const bool needy = now < thread_cache::first(c);
  for (int i = 0; cache.granted() + (wanted - now) * bytes > plan_.bytes && i < victims; ++i) {
    const std::size_t victim = cache.next_victim();
    const std::size_t left = needy ? 0 : thread_cache::first(victim);
    if (victim == c || cache.limit(victim) <= left) continue;
    if (cache.size(victim) > left) note(refused, give_back(cache, victim, cache.size(victim) - left));
    cache.set_limit(victim, left);
  }
  const std::size_t left = plan_.bytes > cache.granted() ? (plan_.bytes - cache.granted()) / bytes : 0;
  return std::min(wanted, now + left);
}

// Makes the magazine of class `c`, which is full, larger or emptier.
template <threads Threads>
refused_slot cached_slabs<Threads>::make_room(thread_cache& cache, std::size_t c) noexcept {
  reached(moment::magazine_full);
  const std::size_t now = cache.limit(c);
  refused_slot refused;
  const std::size_t limit = affordable(cache, c, cache.missed(c, cache_miss::full), refused);
  if (limit <= now) note(refused, give_back(cache, c, now - limit / 2));
  cache.set_limit(c, limit);
  return refused;
}

template <threads Threads>
refused_slot cached_slabs<Threads>::give_back(thread_cache& cache, std::size_t c, std::size_t count) noexcept {
  if (count == 0) return {};
  const refused_slot refused = store_.keep(c, cache.bottom(c), count);
  cache.drop_oldest(c, count);
  return refused;
}

template <threads Threads>
refused_slot cached_slabs<Threads>::empty(thread_cache& cache) noexcept {
  refused_slot first;
  for (std::size_t c = 0; c < size_class::count; ++c) note(first, give_back(cache, c, cache.size(c)));
  return first;
}

template class cached_slabs<threads::one>;
template class cached_slabs<threads::any>;

}  // namespace strata::mem
