// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "absl/base/thread_annotations.h"

module strata.mem:slab_store.impl;

import :bytes;
import :checked;
import :decay;
import :depot;
import :inspector;
import :list;
import :mutex;
import :page_run;
import :schedule;
import :size_class;
import :slab;
import :slab_store;
import :span_table;
import :threads;

import strata.platform;

namespace strata::mem {

namespace {

// Spans looked at for four units in a row before an empty one is taken: keeps the cost constant.
constexpr int probes = 8;

// What is not heads: hidden from the day a span comes to the day it goes, but for blocks and what is used here.
constexpr std::size_t unit_space = span_bytes - span::head_units * unit_bytes;
void* units_of(span* s) noexcept { return at<void>(s, static_cast<std::ptrdiff_t>(span_bytes - unit_space)); }

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
template <threads Threads>
slab_store<Threads>::slab_store(slab_plan plan) noexcept
    : plan_(plan),
      depots_decay_(plan.decay),
      spans_decay_(plan.decay),
      around_fork_(0, {.prepare = lock_classes, .parent = unlock_classes, .child = unlock_classes}, this) {
  if constexpr (Threads == threads::any) (void)platform::at_fork(around_fork_);
}

template <threads Threads>
slab_store<Threads>::~slab_store() {
  if constexpr (Threads == threads::any) platform::cancel(around_fork_);
}

// A fork locks here and unlocks in another call, on either side: no scope for the analysis to see.
template <threads Threads>
void slab_store<Threads>::lock_classes(void* store) noexcept ABSL_NO_THREAD_SAFETY_ANALYSIS {
  for (class_store& each : static_cast<slab_store*>(store)->classes_) each.lock.lock();
}

template <threads Threads>
void slab_store<Threads>::unlock_classes(void* store) noexcept ABSL_NO_THREAD_SAFETY_ANALYSIS {
  for (class_store& each : static_cast<slab_store*>(store)->classes_) each.lock.unlock();
}

template <threads Threads>
std::size_t slab_store<Threads>::take(std::size_t c, void** out, std::size_t wanted) noexcept {
  class_store& store = classes_[c];
  std::size_t got = 0;
  void* surplus = nullptr;
  {
    const mem::lock held(store.lock);
    if (store.depot.count() != 0) {
      got = store.depot.take(out, wanted);
      in_depots_.subtract(got * size_class::bytes(c));
      low_depots_.lower(in_depots_.get());
      store.low = std::min(store.low, store.depot.count());
      surplus = store.depot.remove_empty(1);
    }
    if (got < wanted) got += take_from_slabs(store, c, out + got, wanted - got);
  }
  if (surplus != nullptr) {
    reached(moment::surplus_removed);
    put_piece(surplus);
  }
  return got;
}

template <threads Threads>
std::size_t slab_store<Threads>::take_from_slabs(class_store& store, std::size_t c, void** out,
                                                 std::size_t wanted) noexcept {
  std::size_t got = 0;
  while (got < wanted) {
    if (store.current == nullptr || store.current->free == 0) {
      store.current = next_slab(store, c);
      if (store.current == nullptr) break;
    }
    got += store.current->take(out + got, wanted - got);
  }
  store.taken += got;
  store.touched = true;
  return got;
}

// A piece comes from another class, or this one: it is fetched without the lock, between two looks.
template <threads Threads>
refused_slot slab_store<Threads>::keep(std::size_t c, void* const* slots, std::size_t count) noexcept {
  class_store& store = classes_[c];
  void* piece = nullptr;
  while (count != 0) {
    const std::size_t batch = std::min(count, depot::piece_slots);
    {
      const mem::lock held(store.lock);
      if (!depot_has_room(store, c, batch)) break;
      if (piece != nullptr) store.depot.add(std::exchange(piece, nullptr));
      if (!store.depot.wants_piece(batch)) {
        store.depot.put(slots, batch);
        in_depots_.add(batch * size_class::bytes(c));
        slots += batch;
        count -= batch;
        continue;
      }
    }
    reached(moment::piece_wanted);
    piece = take_piece();
    if (piece == nullptr) break;
    reached(moment::piece_fetched);
  }
  if (piece != nullptr) put_piece(piece);
  return put(c, slots, count);
}

// Heads of slabs are seldom in the processor's cache when they get slots back: all of a batch are asked for before the
// first is needed.
template <threads Threads>
refused_slot slab_store<Threads>::put(std::size_t c, void* const* slots, std::size_t count) noexcept {
  if (count == 0) return {};
  const std::uint32_t inverse = slab::inverse_of(size_class::bytes(c));
  const slab* last = nullptr;
  for (std::size_t i = 0; i < count; ++i) {
    const slab* const s = span::slab_of(slots[i]);
    if (s != last) s->prefetch(slots[i], inverse);
    last = s;
  }
  class_store& store = classes_[c];
  const mem::lock held(store.lock);
  return put_into_slabs(store, c, slots, count);
}

// Neighbours often come back together: their slab is settled once.
template <threads Threads>
refused_slot slab_store<Threads>::put_into_slabs(class_store& store, std::size_t c, void* const* slots,
                                                 std::size_t count) noexcept {
  refused_slot first;
  for (std::size_t i = 0; i < count;) {
    slab* const s = span::slab_of(slots[i]);
    const std::uint32_t before = s->free;
    do {
      const slab_fault fault = s->put(slots[i], c);
      if (fault != slab_fault::none && first.slot == nullptr) first = {fault, slots[i]};
      ++i;
    } while (i < count && s->spans(slots[i]));
    if (s->free == before) continue;
    store.taken -= s->free - before;
    settle(store, s);
  }
  return first;
}

template <threads Threads>
refused_slot slab_store<Threads>::put_unused(std::size_t c, void* const* slots, std::size_t count) noexcept {
  if (count == 0) return {};
  class_store& store = classes_[c];
  const mem::lock held(store.lock);
  const bool touched = store.touched;
  const refused_slot refused = put_into_slabs(store, c, slots, count);
  store.touched = touched;
  return refused;
}

template <threads Threads>
bool slab_store<Threads>::depot_has_room(const class_store& store, std::size_t c, std::size_t count) const noexcept {
  const std::size_t bytes = size_class::bytes(c);
  return (store.depot.count() + count) * bytes <= class_depot_bytes &&
         in_depots_.get() + count * bytes <= plan_.depot_bytes;
}

template <threads Threads>
void* slab_store<Threads>::take_piece() noexcept {
  const std::size_t c = size_class::of(depot::piece_bytes);
  void* piece = nullptr;
  class_store& store = classes_[c];
  const mem::lock held(store.lock);
  if (take_from_slabs(store, c, &piece, 1) != 1) return nullptr;
  if (inspected()) show_as_is(piece, depot::piece_bytes);
  return piece;
}

template <threads Threads>
void slab_store<Threads>::put_piece(void* piece) noexcept {
  if (inspected()) hide(piece, depot::piece_bytes);
  put(size_class::of(depot::piece_bytes), &piece, 1);
}

template <threads Threads>
void slab_store<Threads>::hand_out(void* slot) noexcept {
  slab* const s = span::slab_of(slot);
  const std::uint32_t i = s->find(slot, s->cls).slot;
  std::uint64_t& word = span::of(slot)->out_word(s, i);
  const std::uint64_t bit = std::uint64_t{1} << (i % 64);
  if constexpr (Threads == threads::any) {
    std::atomic_ref(word).fetch_or(bit, std::memory_order_relaxed);
  } else {
    word |= bit;
  }
}

template <threads Threads>
slab_fault slab_store<Threads>::take_in(std::size_t c, const void* p) noexcept {
  if (!table_.contains(address(p) & ~(span_bytes - 1))) return slab_fault::foreign;
  slab* const s = span::slab_of(p);
  const auto [i, fault] = s->find(p, c);
  if (fault != slab_fault::none) return fault;
  std::uint64_t& word = span::of(p)->out_word(s, i);
  const std::uint64_t bit = std::uint64_t{1} << (i % 64);
  std::uint64_t before = 0;
  if constexpr (Threads == threads::any) {
    before = std::atomic_ref(word).fetch_and(~bit, std::memory_order_relaxed);
  } else {
    before = word;
    word &= ~bit;
  }
  return (before & bit) != 0 ? slab_fault::none : slab_fault::already_free;
}

template <threads Threads>
slab_fault slab_store<Threads>::judge(std::size_t c, const void* p) const noexcept {
  if (table_.takes_all()) return slab_fault::none;
  if (!table_.contains(address(p) & ~(span_bytes - 1))) return slab_fault::foreign;
  return span::slab_of(p)->find(p, c).fault;
}

// The table of a checked store lies in units that are no slab and never free: their span stays until clear(). That of
// any store of a checked build must not keep a span, so it has pages of its own.
template <threads Threads>
void slab_store<Threads>::make_known(span* added) noexcept {
  if (const std::size_t wanted = table_.wanted(); wanted != 0 && plan_.checked) {
    void* const aside = added->set_aside(wanted / unit_bytes);
    if (inspected()) show_as_is(aside, wanted);
    table_.grow(aside);
  } else if (wanted != 0) {
    const page_run pages = map_run(wanted, page_bytes(), {.label = "strata: spans"}).run;
    if (pages.base != nullptr) {
      *std::ranges::find(own_pages_, nullptr, &page_run::base) = pages;
      table_.grow(pages.base);
    }
  }
  table_.add(address(added));
}

template <threads Threads>
void slab_store<Threads>::unmap_table() noexcept {
  for (page_run& pages : own_pages_) {
    if (pages.base != nullptr) static_cast<void>(unmap_run(std::exchange(pages, {})));
  }
}

template <threads Threads>
void slab_store<Threads>::add_span(void* memory) noexcept {
  span* const added = span::format(memory);
  if (plan_.checked) added->out = {};
  if (inspected()) hide(units_of(added), unit_space);
  const mem::lock held(span_lock_);
  ++spans_;
  if (checked || plan_.checked) make_known(added);
  if (added->is_empty()) empty_spans_.add(1);
  link_front(list_of(added), added);
}

template <threads Threads>
void* slab_store<Threads>::remove_empty_span(std::size_t keep) noexcept {
  const mem::lock held(span_lock_);
  if (empty_ == nullptr || empty_bytes() <= keep) return nullptr;
  span* const removed = empty_;
  unlink(empty_, removed);
  --spans_;
  empty_spans_.subtract(1);
  low_empty_ = std::min(low_empty_, empty_bytes());
  spans_decay_.gave(span_bytes);
  if (checked || plan_.checked) table_.remove(address(removed));
  if (inspected()) show(units_of(removed), unit_space);
  return removed;
}

template <threads Threads>
refused_slot slab_store<Threads>::empty_depot(class_store& store, std::size_t c) noexcept {
  const mem::lock held(store.lock);
  return move_from_depot(store, c, store.depot.count());
}

// Slots are all alike: which of them go does not matter, but how many.
template <threads Threads>
refused_slot slab_store<Threads>::move_from_depot(class_store& store, std::size_t c, std::size_t count) noexcept {
  refused_slot first;
  std::array<void*, depot::piece_slots> batch;
  while (count != 0) {
    const std::size_t got = store.depot.take(batch.data(), std::min(count, batch.size()));
    if (got == 0) break;
    count -= got;
    in_depots_.subtract(got * size_class::bytes(c));
    const refused_slot refused = put_into_slabs(store, c, batch.data(), got);
    if (first.slot == nullptr) first = refused;
  }
  store.low = std::min(store.low, store.depot.count());
  low_depots_.lower(in_depots_.get());
  return first;
}

template <threads Threads>
void* slab_store<Threads>::remove_piece(class_store& store) noexcept {
  const mem::lock held(store.lock);
  return store.depot.remove_empty(0);
}

template <threads Threads>
refused_slot slab_store<Threads>::drop_empty_slabs() noexcept {
  refused_slot first;
  for (std::size_t c = 0; c < size_class::count; ++c) {
    const refused_slot refused = empty_depot(classes_[c], c);
    if (first.slot == nullptr) first = refused;
    while (void* const piece = remove_piece(classes_[c])) put_piece(piece);
  }
  for (class_store& store : classes_) {
    const mem::lock held(store.lock);
    drop_slabs_of(store);
  }
  const mem::lock held(span_lock_);
  for (span* s = partial_; s != nullptr; s = s->next) s->discard_free_units();
  return first;
}

template <threads Threads>
void slab_store<Threads>::drop_slabs_of(class_store& store) noexcept {
  if (slab* const s = store.current; s != nullptr && s->free == s->slots) {
    store.current = nullptr;
    unmake(store, s);
  }
  for (slab* s = store.shelves.back(); s != nullptr;) {
    slab* const next = s->next;
    if (s->free == s->slots) unmake(store, s);
    s = next;
  }
}

// Spans that become empty here were of no use for as long as what lay in them, so they may go at once, as those found may. Others may take
// and give meanwhile: then the figures are a little off, which costs a little memory or a call upstream.
template <threads Threads>
typename slab_store<Threads>::unused slab_store<Threads>::let_go(std::uint64_t now, std::size_t found) noexcept {
  unused result;
  std::size_t depot_bytes = 0;
  std::size_t before = 0;
  {
    const mem::lock held(span_lock_);
    const std::size_t in_depots = in_depots_.get();
    depot_bytes = depots_decay_.look(now, low_depots_.get(), in_depots);
    low_depots_.set(in_depots);
    before = empty_bytes();
    const std::size_t others = before - std::min(before, found);
    result.span_bytes = spans_decay_.look(now, low_empty_, others);
    low_empty_ = before;
  }
  const std::size_t may = depot_bytes;
  for (std::size_t c = 0; c < size_class::count; ++c) {
    const refused_slot refused = shrink_depot(classes_[c], c, depot_bytes);
    if (result.refused.slot == nullptr) result.refused = refused;
    if (may == 0) continue;
    while (void* const piece = remove_piece(classes_[c])) {
      put_unused(size_class::of(depot::piece_bytes), &piece, 1);
    }
  }
  for (class_store& store : classes_) {
    const mem::lock held(store.lock);
    if (store.idle.look(plan_.decay, now, std::exchange(store.touched, false))) drop_slabs_of(store);
  }
  const mem::lock held(span_lock_);
  depots_decay_.gave(may - depot_bytes);
  const std::size_t after = empty_bytes();
  const std::size_t emptied = after - std::min(before, after);
  spans_decay_.found(found + emptied);
  low_empty_ += emptied;
  result.span_bytes += found + emptied;
  return result;
}

// Takes what it moves from `depot_bytes`.
template <threads Threads>
refused_slot slab_store<Threads>::shrink_depot(class_store& store, std::size_t c, std::size_t& depot_bytes) noexcept {
  const bool at_once = plan_.decay.ns() == 0;
  const std::size_t bytes = size_class::bytes(c);
  const mem::lock held(store.lock);
  const bool touched = store.touched;
  const std::size_t count = std::min(at_once ? store.depot.count() : store.low, depot_bytes / bytes);
  const refused_slot refused = move_from_depot(store, c, count);
  depot_bytes -= count * bytes;
  store.touched = touched;
  store.low = store.depot.count();
  return refused;
}

template <threads Threads>
span* slab_store<Threads>::clear() noexcept {
  for (class_store& store : classes_) {
    const mem::lock held(store.lock);
    store.current = nullptr;
    store.shelves.fill(nullptr);
    store.depot.clear();
    store.taken = store.slabs = store.low = 0;
  }
  in_depots_.set(0);
  low_depots_.set(0);
  const mem::lock held(span_lock_);
  span* all = nullptr;
  for (span** list : {&empty_, &partial_, &full_}) {
    while (span* const s = *list) {
      unlink(*list, s);
      link_front(all, s);
      if (inspected()) show(units_of(s), unit_space);
    }
  }
  spans_ = 0;
  empty_spans_.set(0);
  low_empty_ = 0;
  table_.clear();
  unmap_table();
  return all;
}

template <threads Threads>
slab_counters slab_store<Threads>::counters() const noexcept {
  slab_counters sum;
  std::size_t pieces = 0;
  for (std::size_t c = 0; c < size_class::count; ++c) {
    const class_store& store = classes_[c];
    const mem::lock held(store.lock);
    const std::size_t kept = store.depot.count();
    sum.slots += store.taken - kept;
    sum.slot_bytes += (store.taken - kept) * size_class::bytes(c);
    sum.slabs += store.slabs;
    sum.depot_slots += kept;
    pieces += store.depot.pieces();
  }
  sum.depot_bytes = pieces * depot::piece_bytes;
  sum.slots -= pieces;
  sum.slot_bytes -= sum.depot_bytes;
  const mem::lock held(span_lock_);
  sum.span_bytes = spans_ * span_bytes;
  return sum;
}

template <threads Threads>
const char* slab_store<Threads>::check() const noexcept {
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
    if (!store.depot.is_consistent()) return "a depot's counts differ from what is in it";
    if (taken != store.taken) return "the slots taken of a class differ from the bits of its slabs";
    if (slabs != store.slabs) return "a class has lost a slab";
    for (std::uint8_t shelf = 0; shelf < store.shelves.size(); ++shelf) {
      for (const slab* s = store.shelves[shelf]; s != nullptr; s = s->next) {
        if (s->cls != c || s->shelf != shelf || s->shelf_now() != shelf) return "a slab is in the wrong list";
      }
    }
  }
  return nullptr;
}

// A slab to take from: one of the listed ones, else a new one; null when that needs a span.
template <threads Threads>
slab* slab_store<Threads>::next_slab(class_store& store, std::size_t c) noexcept {
  for (slab* const s : store.shelves) {
    if (s == nullptr) continue;
    move(store, s, 0);
    return s;
  }
  slab* const made = make_slab(c);
  if (made != nullptr) ++store.slabs;
  return made;
}

template <threads Threads>
slab* slab_store<Threads>::make_slab(std::size_t c) noexcept {
  const std::size_t units = slab::units_for(c, plan_.units);
  const mem::lock held(span_lock_);
  span* from = partial_;
  slab* made = nullptr;
  for (int i = 0; i < probes && from != nullptr; ++i, from = from->next) {
    made = from->make_slab(c, units);
    if (made != nullptr) break;
  }
  if (made == nullptr) {
    from = empty_;
    if (from == nullptr) return nullptr;
    unlink(empty_, from);
    empty_spans_.subtract(1);
    low_empty_ = std::min(low_empty_, empty_bytes());
    link_front(partial_, from);
    made = from->make_slab(c, units);
  }
  if (from->is_full()) {
    unlink(partial_, from);
    link_front(full_, from);
  }
  return made;
}

// Puts a slab that got a slot back where it belongs now.
template <threads Threads>
void slab_store<Threads>::settle(class_store& store, slab* s) noexcept {
  if (s->free == s->slots) store.touched = true;
  if (s == store.current) return;
  if (s->free == s->slots) {
    const bool current_serves = store.current != nullptr && store.current->free != 0;
    const auto serves = [s](const slab* head) { return head != nullptr && (head != s || s->next != nullptr); };
    if (current_serves || std::any_of(store.shelves.begin(), store.shelves.end(), serves)) return unmake(store, s);
  }
  move(store, s, s->shelf_now());
}

template <threads Threads>
void slab_store<Threads>::move(class_store& store, slab* s, std::uint8_t shelf) noexcept {
  if (s->shelf == shelf) return;
  if (s->shelf != 0) unlink(store.shelves[s->shelf], s);
  if (shelf != 0) link_front(store.shelves[shelf], s);
  s->shelf = shelf;
}

template <threads Threads>
void slab_store<Threads>::unmake(class_store& store, slab* s) noexcept {
  move(store, s, 0);
  --store.slabs;
  span* const owner = span::of(s->base);
  const mem::lock held(span_lock_);
  unlink(list_of(owner), owner);
  owner->unmake_slab(s);
  link_front(list_of(owner), owner);
  if (owner->is_empty()) empty_spans_.add(1);
}

template <threads Threads>
span*& slab_store<Threads>::list_of(const span* s) noexcept {
  if (s->is_empty()) return empty_;
  return s->is_full() ? full_ : partial_;
}

template class slab_store<threads::one>;
template class slab_store<threads::any>;

}  // namespace strata::mem
