// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>

module strata.mem:chunk_table.impl;

import :bytes;
import :chunk_table;

namespace strata::mem {

chunk_table::chunk_table(std::size_t chunk_bytes) noexcept : chunk_bytes_(chunk_bytes) {
  auto* const t = ::new (first_) table;
  t->format(first_capacity, nullptr);
  table_.store(t, std::memory_order_relaxed);
}

void chunk_table::table::format(std::uint32_t slots, table* before) noexcept {
  older = before;
  capacity = slots;
  shift = 62 - log2_floor(slots);
  std::uninitialized_value_construct_n(records(), slots);
  std::uninitialized_value_construct_n(entries(), mask() + 1);
}

// The key last: whoever finds it finds the rest.
void chunk_table::table::enter(std::uint32_t number, std::byte* chunk, void* aside) noexcept {
  records()[number].chunk.store(chunk, std::memory_order_relaxed);
  std::size_t i = home(address(chunk));
  for (std::uintptr_t key; (key = entries()[i].key.load(std::memory_order_relaxed)) != empty && key != removed;) {
    i = (i + 1) & mask();
  }
  entry& e = entries()[i];
  e.aside.store(aside, std::memory_order_relaxed);
  e.number.store(number, std::memory_order_relaxed);
  e.key.store(key_of(address(chunk)), std::memory_order_release);
}

// An entry that was removed keeps its place, so in the end there may be no empty one: then all are looked at, but only
// for an address that is not there.
const chunk_table::entry* chunk_table::find(const void* p) const noexcept {
  const std::uintptr_t wanted = round_down(address(p), chunk_bytes_);
  const table* const t = table_.load(std::memory_order_acquire);
  std::size_t i = t->home(wanted);
  for (std::size_t left = t->mask() + 1; left != 0; --left) {
    const std::uintptr_t key = t->entries()[i].key.load(std::memory_order_acquire);
    if (key == empty) break;
    if (key == key_of(wanted)) return &t->entries()[i];
    i = (i + 1) & t->mask();
  }
  return nullptr;
}

std::uint32_t chunk_table::count() const noexcept {
  std::uint32_t count = 0;
  for (std::uint32_t n = 0; n < numbers(); ++n) {
    if (at(n).chunk.load(std::memory_order_relaxed) != nullptr) ++count;
  }
  return count;
}

std::uint32_t chunk_table::vacant() const noexcept {
  std::uint32_t n = lowest_vacant_;
  while (n < numbers() && at(n).chunk.load(std::memory_order_relaxed) != nullptr) ++n;
  return n < numbers() ? n : none;
}

std::size_t chunk_table::wanted() const noexcept {
  const std::uint32_t capacity = table_.load(std::memory_order_relaxed)->capacity;
  return numbers() < capacity || vacant() != none ? 0 : bytes_for(std::size_t{2} * capacity);
}

void chunk_table::grow(void* memory) noexcept {
  table* const old = table_.load(std::memory_order_relaxed);
  auto* const t = ::new (memory) table;
  t->format(2 * old->capacity, old);
  for (std::uint32_t n = 0; n < numbers(); ++n) {
    const record& from = old->records()[n];
    void* const aside = from.aside.load(std::memory_order_relaxed);
    t->records()[n].aside.store(aside, std::memory_order_relaxed);
    t->records()[n].tally = from.tally;
    if (auto* const chunk = from.chunk.load(std::memory_order_relaxed); chunk != nullptr) t->enter(n, chunk, aside);
  }
  table_.store(t, std::memory_order_release);
}

std::uint32_t chunk_table::add(void* chunk, void* aside) noexcept {
  table* const t = table_.load(std::memory_order_relaxed);
  std::uint32_t number = vacant();
  if (number == none) {
    number = numbers();
    t->records()[number].aside.store(aside, std::memory_order_relaxed);
    numbers_.store(number + 1, std::memory_order_release);
  }
  lowest_vacant_ = number + 1;
  t->records()[number].tally = 0;
  t->enter(number, static_cast<std::byte*>(chunk), t->records()[number].aside.load(std::memory_order_relaxed));
  return number;
}

void chunk_table::remove(std::uint32_t number) noexcept {
  table* const t = table_.load(std::memory_order_relaxed);
  std::size_t i = t->home(address(t->records()[number].chunk.load(std::memory_order_relaxed)));
  while (t->entries()[i].key.load(std::memory_order_relaxed) == removed ||
         t->entries()[i].number.load(std::memory_order_relaxed) != number) {
    i = (i + 1) & t->mask();
  }
  t->records()[number].chunk.store(nullptr, std::memory_order_relaxed);
  t->entries()[i].key.store(removed, std::memory_order_relaxed);
  lowest_vacant_ = std::min(lowest_vacant_, number);
}

chunk_table::brought chunk_table::clear() noexcept {
  table* const t = table_.load(std::memory_order_relaxed);
  const brought gone{t, bytes_for(t->capacity)};
  if (t->older != nullptr) {
    table_.store(t->older, std::memory_order_relaxed);
    return gone;
  }
  t->format(first_capacity, nullptr);
  numbers_.store(0, std::memory_order_relaxed);
  lowest_vacant_ = 0;
  return {nullptr, 0};
}

}  // namespace strata::mem
