// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <atomic>
#include <cstddef>

module strata.mem:cached_slabs.impl;

import :cache_registry;
import :cached_slabs;
import :size_class;
import :slab;
import :slab_store;
import :thread_cache;

namespace strata::mem {

namespace {

std::size_t half(std::size_t c) noexcept { return std::max<std::size_t>(thread_cache::capacity(c) / 2, 1); }

std::size_t cache_class() noexcept { return size_class::of(thread_cache::bytes()); }

}  // namespace

cached_slabs::cached_slabs() noexcept : owner_(&thread_ends, this) {}

cached_slabs::~cached_slabs() = default;

void* cached_slabs::refill(std::size_t c, std::size_t bytes) noexcept {
  thread_cache* cache = owner_.mine();
  if (cache == nullptr) cache = make_cache();
  if (cache == nullptr) {
    void* block = nullptr;
    if (store_.take(c, &block, 1) == 0) return nullptr;
    live_.fetch_add(bytes, std::memory_order_relaxed);
    allocations_.fetch_add(1, std::memory_order_relaxed);
    return block;
  }
  cache->filled(c, store_.take(c, cache->bottom(c), half(c)));
  void* const block = cache->pop(c);
  if (block != nullptr) cache->handed_out(bytes);
  return block;
}

slab_store::refused cached_slabs::flush(std::size_t c, void* block, std::size_t bytes) noexcept {
  thread_cache* cache = owner_.mine();
  if (cache == nullptr) cache = make_cache();
  if (cache == nullptr) {
    live_.fetch_sub(bytes, std::memory_order_relaxed);
    deallocations_.fetch_add(1, std::memory_order_relaxed);
    return store_.put(c, &block, 1);
  }
  cache->taken_back(bytes);
  slab_store::refused refused;
  if (!cache->push(c, block)) {
    refused = store_.put(c, cache->bottom(c), half(c));
    cache->drop_oldest(c, half(c));
    (void)cache->push(c, block);
  }
  return refused;
}

slab_store::refused cached_slabs::trim() noexcept {
  slab_store::refused refused;
  if (thread_cache* const cache = owner_.mine(); cache != nullptr) refused = empty(cache);
  store_.drop_empty_slabs();
  return refused;
}

span* cached_slabs::clear() noexcept {
  for (const thread_cache* cache = owner_.detach_all(); cache != nullptr; cache = cache->next) keep_counters_of(*cache);
  // What was live is void.
  live_.store(0, std::memory_order_relaxed);
  deallocations_.store(allocations_.load(std::memory_order_relaxed), std::memory_order_relaxed);
  return store_.clear();
}

cached_slabs::figures cached_slabs::count() const noexcept {
  figures sum{.live = live_.load(std::memory_order_relaxed),
              .allocations = allocations_.load(std::memory_order_relaxed),
              .deallocations = deallocations_.load(std::memory_order_relaxed)};
  owner_.visit([&](const thread_cache& cache) {
    sum.live += cache.live();
    sum.allocations += cache.allocations();
    sum.deallocations += cache.deallocations();
    sum.caches += size_class::bytes(cache_class());
  });
  return sum;
}

void cached_slabs::thread_ends(void* slabs, thread_cache* cache) noexcept {
  auto* const self = static_cast<cached_slabs*>(slabs);
  self->empty(cache);
  self->keep_counters_of(*cache);
  void* slot = cache;
  self->store_.put(cache_class(), &slot, 1);
}

void cached_slabs::keep_counters_of(const thread_cache& cache) noexcept {
  live_.fetch_add(cache.live(), std::memory_order_relaxed);
  allocations_.fetch_add(cache.allocations(), std::memory_order_relaxed);
  deallocations_.fetch_add(cache.deallocations(), std::memory_order_relaxed);
}

// Null when the store has no slot for it just now, or the thread can have none.
thread_cache* cached_slabs::make_cache() noexcept {
  void* slot = nullptr;
  if (!owner_.has_number() || store_.take(cache_class(), &slot, 1) == 0) return nullptr;
  thread_cache* const cache = thread_cache::format(slot);
  if (owner_.adopt(cache)) return cache;
  store_.put(cache_class(), &slot, 1);
  return nullptr;
}

slab_store::refused cached_slabs::empty(thread_cache* cache) noexcept {
  slab_store::refused first;
  for (std::size_t c = 0; c < size_class::count; ++c) {
    const std::size_t count = cache->size(c);
    if (count == 0) continue;
    const slab_store::refused refused = store_.put(c, cache->bottom(c), count);
    if (first.slot == nullptr) first = refused;
    cache->drop_oldest(c, count);
  }
  return first;
}

}  // namespace strata::mem
