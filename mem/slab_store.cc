// SPDX-License-Identifier: Apache-2.0
module;
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "absl/base/thread_annotations.h"

module strata.mem:slab_store.impl;

import :list;
import :mutex;
import :size_class;
import :slab;
import :slab_store;
import :small_mutex;

import strata.platform;

namespace strata::mem {

namespace {

// Spans looked at for four units in a row before an empty one is taken: keeps the cost constant.
constexpr int probes = 8;

// A slab is taken from again when this part of it is free, so that one block going and coming does not drag it along.
bool is_worth_listing(const slab& s) noexcept { return s.free * 8 >= s.slots; }

const char* check_slab(const slab& s) noexcept {
  std::uint32_t set = 0;
  for (std::size_t w = 0; w < (s.slots + 63) / 64; ++w) {
    if (s.bits[w] != 0 && w < s.hint) return "a slab's hint is beyond a free slot";
    set += static_cast<std::uint32_t>(std::popcount(s.bits[w]));
  }
  return set == s.free ? nullptr : "a slab's count of free slots differs from its bits";
}

}  // namespace

// Refused only where fork hooks as such are: then a child may find a class locked for ever, as with any lock of the
// program.
slab_store::slab_store() noexcept
    : around_fork_(0, {.prepare = lock_classes, .parent = unlock_classes, .child = unlock_classes}, this) {
  (void)platform::at_fork(around_fork_);
}

slab_store::~slab_store() { platform::cancel(around_fork_); }

// A fork locks here and unlocks in another call, on either side: no scope for the analysis to see.
void slab_store::lock_classes(void* store) noexcept ABSL_NO_THREAD_SAFETY_ANALYSIS {
  for (class_store& each : static_cast<slab_store*>(store)->classes_) each.lock.lock();
}

void slab_store::unlock_classes(void* store) noexcept ABSL_NO_THREAD_SAFETY_ANALYSIS {
  for (class_store& each : static_cast<slab_store*>(store)->classes_) each.lock.unlock();
}

std::size_t slab_store::take(std::size_t c, void** out, std::size_t wanted) noexcept {
  class_store& store = classes_[c];
  const mem::lock held(store.lock);
  std::size_t got = 0;
  while (got < wanted) {
    if (store.current == nullptr || store.current->free == 0) {
      store.current = next_slab(store, c);
      if (store.current == nullptr) break;
    }
    got += store.current->take(out + got, wanted - got);
  }
  store.taken += got;
  return got;
}

slab_store::refused slab_store::put(std::size_t c, void* const* slots, std::size_t count) noexcept {
  refused first;
  class_store& store = classes_[c];
  const mem::lock held(store.lock);
  for (std::size_t i = 0; i < count; ++i) {
    slab* const s = span::slab_of(slots[i]);
    const slab_fault fault = s->units == 0 || s->cls != c ? slab_fault::not_a_slot : s->put(slots[i]);
    if (fault != slab_fault::none) {
      if (first.slot == nullptr) first = {fault, slots[i]};
      continue;
    }
    --store.taken;
    settle(store, s);
  }
  return first;
}

void slab_store::add_span(void* memory) noexcept {
  span* const added = span::format(memory);
  const mem::lock held(span_lock_);
  link_front(empty_, added);
  ++spans_;
  empty_spans_.fetch_add(1, std::memory_order_relaxed);
}

void* slab_store::remove_empty_span(std::size_t keep) noexcept {
  const mem::lock held(span_lock_);
  if (empty_ == nullptr || !has_excess(keep)) return nullptr;
  span* const removed = empty_;
  unlink(empty_, removed);
  --spans_;
  empty_spans_.fetch_sub(1, std::memory_order_relaxed);
  return removed;
}

void slab_store::drop_empty_slabs() noexcept {
  for (class_store& store : classes_) {
    const mem::lock held(store.lock);
    if (slab* const s = store.current; s != nullptr && s->free == s->slots) {
      store.current = nullptr;
      unmake(store, s);
    }
    for (slab* s = store.listed; s != nullptr;) {
      slab* const next = s->next;
      if (s->free == s->slots) unmake(store, s);
      s = next;
    }
  }
}

span* slab_store::clear() noexcept {
  for (class_store& store : classes_) {
    const mem::lock held(store.lock);
    store.current = store.listed = nullptr;
    store.taken = store.slabs = 0;
  }
  const mem::lock held(span_lock_);
  span* all = nullptr;
  for (span** list : {&empty_, &partial_, &full_}) {
    while (span* const s = *list) {
      unlink(*list, s);
      link_front(all, s);
    }
  }
  spans_ = 0;
  empty_spans_.store(0, std::memory_order_relaxed);
  return all;
}

slab_counters slab_store::counters() const noexcept {
  slab_counters sum;
  for (std::size_t c = 0; c < size_class::count; ++c) {
    const class_store& store = classes_[c];
    const mem::lock held(store.lock);
    sum.slots += store.taken;
    sum.slot_bytes += store.taken * size_class::bytes(c);
    sum.slabs += store.slabs;
  }
  const mem::lock held(span_lock_);
  sum.span_bytes = spans_ * span_bytes;
  return sum;
}

const char* slab_store::check() const noexcept {
  for (std::size_t c = 0; c < size_class::count; ++c) {
    const class_store& store = classes_[c];
    const mem::lock held(store.lock);
    std::size_t taken = 0;
    std::size_t slabs = 0;
    {
      const mem::lock spans(span_lock_);
      for (const span* list : {empty_, partial_, full_}) {
        for (const span* p = list; p != nullptr; p = p->next) {
          for (const slab& s : p->slabs) {
            if (s.units == 0 || s.cls != c) continue;
            if (const char* const wrong = check_slab(s); wrong != nullptr) return wrong;
            taken += s.slots - s.free;
            ++slabs;
          }
        }
      }
    }
    if (taken != store.taken) return "the slots taken of a class differ from the bits of its slabs";
    if (slabs != store.slabs) return "a class has lost a slab";
    for (const slab* s = store.listed; s != nullptr; s = s->next) {
      if (!s->listed || s->cls != c || s->free == 0) return "a class lists a slab it cannot take from";
    }
  }
  return nullptr;
}

// A slab to take from: one of the listed ones, else a new one; null when that needs a span.
slab* slab_store::next_slab(class_store& store, std::size_t c) noexcept {
  if (slab* const s = store.listed; s != nullptr) {
    unlink(store.listed, s);
    s->listed = false;
    return s;
  }
  slab* const made = make_slab(c);
  if (made != nullptr) ++store.slabs;
  return made;
}

slab* slab_store::make_slab(std::size_t c) noexcept {
  const mem::lock held(span_lock_);
  span* from = partial_;
  slab* made = nullptr;
  for (int i = 0; i < probes && from != nullptr; ++i, from = from->next) {
    made = from->make_slab(c);
    if (made != nullptr) break;
  }
  if (made == nullptr) {
    from = empty_;
    if (from == nullptr) return nullptr;
    unlink(empty_, from);
    empty_spans_.fetch_sub(1, std::memory_order_relaxed);
    link_front(partial_, from);
    made = from->make_slab(c);
  }
  if (from->is_full()) {
    unlink(partial_, from);
    link_front(full_, from);
  }
  return made;
}

// Puts a slab that got a slot back where it belongs now.
void slab_store::settle(class_store& store, slab* s) noexcept {
  if (s == store.current) return;
  if (s->free == s->slots) {
    const bool others = (store.current != nullptr && store.current->free != 0) ||
                        (store.listed != nullptr && (store.listed != s || s->next != nullptr));
    if (others) return unmake(store, s);
  }
  if (!s->listed && is_worth_listing(*s)) {
    link_front(store.listed, s);
    s->listed = true;
  }
}

void slab_store::unmake(class_store& store, slab* s) noexcept {
  if (s->listed) {
    unlink(store.listed, s);
    s->listed = false;
  }
  --store.slabs;
  span* const owner = span::of(s->base);
  const mem::lock held(span_lock_);
  unlink(list_of(owner), owner);
  owner->unmake_slab(s);
  link_front(list_of(owner), owner);
  if (owner->is_empty()) empty_spans_.fetch_add(1, std::memory_order_relaxed);
}

span*& slab_store::list_of(const span* s) noexcept {
  if (s->is_empty()) return empty_;
  return s->is_full() ? full_ : partial_;
}

}  // namespace strata::mem
