// SPDX-License-Identifier: Apache-2.0
module;
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <new>
#include <utility>

#include "absl/functional/function_ref.h"

module strata.mem:cached_slots.impl;

import :cache_books;
import :cached_slots;
import :closed_caches;
import :slot_cache;
import :slot_pool;
import :slot_shape;
import :thread_number;
import :threads;

namespace strata::mem {

namespace {

template <threads Threads, class T>
T* take_out(std::atomic<T*>& from) noexcept {
  if constexpr (Threads == threads::any) {
    return from.exchange(nullptr, std::memory_order_acquire);
  } else {
    T* const found = from.load(std::memory_order_relaxed);
    from.store(nullptr, std::memory_order_relaxed);
    return found;
  }
}

}  // namespace

template <threads Threads>
void cached_slots<Threads>::set_mine(cache* c) noexcept {
  const std::size_t place = shared ? number_of_this_thread : 0;
  caches_[place].store(c, std::memory_order_release);
  for (std::size_t seen = places_.load(std::memory_order_relaxed); place >= seen;) {
    if (places_.compare_exchange_weak(seen, place + 1, std::memory_order_release, std::memory_order_relaxed)) break;
  }
}

template <threads Threads>
typename cached_slots<Threads>::cache* cached_slots<Threads>::mine_or_spare() noexcept {
  if (cache* const c = mine(); c != nullptr) return c;
  if constexpr (shared) {
    if (take_thread_number() == 0) return nullptr;
    if (cache* const left = mine(); left != nullptr) return left;
    if (spare_.load(std::memory_order_relaxed) == nullptr) return nullptr;
    cache* const c = take_out<Threads>(spare_);
    set_mine(c);
    return c;
  }
  return nullptr;
}

template <threads Threads>
void* cached_slots<Threads>::refill(std::size_t bytes) noexcept {
  if (cache* const c = mine_or_spare(); c != nullptr) {
    const cache_use<Threads, cache> own(*c);
    void* p = c->pop(bytes);
    if (p == nullptr) {
      c->fill(pool_);
      p = c->pop(bytes);
    }
    return p;
  }
  void* const p = pool_.take();
  if (p != nullptr) {
    live_.add(bytes);
    taken_.add(1);
  }
  return p;
}

template <threads Threads>
slot_fault cached_slots<Threads>::put(void* p, std::size_t bytes) noexcept {
  if (cache* const c = mine_or_spare(); c != nullptr) {
    place at{};
    if (const slot_fault fault = pool_.find(p, at); fault != slot_fault::none) return fault;
    if (!pool_.is_out(at)) return slot_fault::already_free;
    const cache_use<Threads, cache> own(*c);
    if (!c->push(at, bytes)) {
      c->halve(pool_);
      (void)c->push(at, bytes);
    }
    return slot_fault::none;
  }
  const slot_fault fault = pool_.put(p);
  if (fault == slot_fault::none) {
    live_.subtract(bytes);
    put_.add(1);
  }
  return fault;
}

template <threads Threads>
slot_fault cached_slots<Threads>::inspect(const void* p) const noexcept {
  place at{};
  if (const slot_fault fault = pool_.find(p, at); fault != slot_fault::none) return fault;
  return pool_.is_out(at) ? slot_fault::none : slot_fault::already_free;
}

template <threads Threads>
bool cached_slots<Threads>::wants_cache() noexcept {
  const bool may_have = !shared || take_thread_number() != 0;
  return (may_have && mine() == nullptr) || (shared && spare_.load(std::memory_order_relaxed) == nullptr);
}

template <threads Threads>
bool cached_slots<Threads>::add_cache(void* memory) noexcept {
  const bool may_have = !shared || number_of_this_thread != 0;
  if (mine() == nullptr && may_have) {
    set_mine(::new (memory) cache(capacity_));
    return true;
  }
  cache* none = nullptr;
  cache* const made = ::new (memory) cache(capacity_);
  return shared && spare_.compare_exchange_strong(none, made, std::memory_order_acq_rel);
}

template <threads Threads>
void cached_slots<Threads>::drain_mine() noexcept {
  if (cache* const c = mine(); c != nullptr) empty(*c);
}

template <threads Threads>
void cached_slots<Threads>::drain() noexcept {
  if constexpr (shared) {
    drain_where([](cache&) { return true; });
  } else {
    drain_mine();
  }
}

template <threads Threads>
void cached_slots<Threads>::drain_idle() noexcept {
  if constexpr (shared) {
    drain_where([](cache& c) { return !c.was_used(); });
  } else if (cache* const c = mine(); c != nullptr && !c->was_used()) {
    empty(*c);
  }
}

template <threads Threads>
void cached_slots<Threads>::drain_where(absl::FunctionRef<bool(cache&)> may_go) noexcept
  requires(Threads == threads::any)
{
  hold_thread_numbers([&](absl::FunctionRef<bool(std::uint32_t)> is_nobodys) {
    closed_caches<cache> of_others;
    for (std::uint32_t n = 1; n <= max_thread_number; ++n) {
      cache* const c = caches_[n].load(std::memory_order_acquire);
      if (c == nullptr) continue;
      if (is_nobodys(n)) {
        empty(*c);
      } else if (may_go(*c)) {
        n == number_of_this_thread ? empty(*c) : of_others.add(*c);
      }
    }
    of_others.settle([&](const cache& c) { c.drain_closed(pool_); });
  });
}

template <threads Threads>
void cached_slots<Threads>::empty(cache& c) noexcept {
  const cache_use<Threads, cache> own(c);
  c.drain(pool_);
}

template <threads Threads>
typename cached_slots<Threads>::cache* cached_slots<Threads>::clear_caches() noexcept {
  cache* all = take_out<Threads>(spare_);
  const std::size_t taken = count().taken;
  for (auto& place : caches_) {
    cache* const c = take_out<Threads>(place);
    if (c != nullptr) c->next = std::exchange(all, c);
  }
  live_.set(0);
  taken_.set(taken);
  put_.set(taken);
  return all;
}

template <threads Threads>
typename cached_slots<Threads>::figures cached_slots<Threads>::count() const noexcept {
  std::size_t live = live_.get();
  std::size_t taken = taken_.get();
  std::size_t put = put_.get();
  const std::size_t places = places_.load(std::memory_order_acquire);
  for (std::size_t i = 0; i < places; ++i) {
    if (const cache* const c = caches_[i].load(std::memory_order_acquire); c != nullptr) {
      live += c->books.live();
      taken += c->books.out();
      put += c->books.in();
    }
  }
  return {.live = live, .out = taken - put, .taken = taken};
}

template class cached_slots<threads::any>;
template class cached_slots<threads::one>;

}  // namespace strata::mem
