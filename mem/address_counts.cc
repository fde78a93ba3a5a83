// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <utility>

module strata.mem:address_counts.impl;

import :address_counts;
import :page_run;

namespace strata::mem {

// Should the OS not take it back, it is at most what was needed.
address_counts::~address_counts() {
  if (memory_.base != nullptr) static_cast<void>(unmap_run(memory_));
}

os_error address_counts::prepare(std::size_t more) noexcept {
  if (2 * (used_ + more) <= capacity_) return {};
  const std::size_t wanted = std::bit_ceil(std::max(4 * (used_ + more), page_bytes() / sizeof(place)));
  const page_run_result fresh = map_run(wanted * sizeof(place), page_bytes(), {.label = "strata: addresses"});
  if (fresh.error.failed()) return fresh.error;
  const page_run old_memory = std::exchange(memory_, fresh.run);
  place* const old = std::exchange(places_, static_cast<place*>(fresh.run.base));
  const std::size_t old_capacity = std::exchange(capacity_, wanted);
  for (std::size_t i = 0; i < old_capacity; ++i) {
    if (old[i].address != 0) *find(old[i].address) = old[i];
  }
  if (old_memory.base != nullptr) static_cast<void>(unmap_run(old_memory));
  return {};
}

std::size_t address_counts::home(std::uintptr_t address) const noexcept {
  const std::uint64_t hash = std::uint64_t{address} * 0x9E37'79B9'7F4A'7C15U;  // Fibonacci hashing (Knuth)
  return static_cast<std::size_t>(hash >> 20) & (capacity_ - 1);
}

// The place of an address, or the one where it would go. Pre: capacity_ is not 0.
address_counts::place* address_counts::find(std::uintptr_t address) const noexcept {
  std::size_t i = home(address);
  while (places_[i].address != 0 && places_[i].address != address) i = (i + 1) & (capacity_ - 1);
  return &places_[i];
}

std::size_t address_counts::add(std::uintptr_t address) noexcept {
  place* const at = find(address);
  if (at->address == 0) {
    *at = {address, 0};
    ++used_;
  }
  return ++at->count;
}

std::size_t address_counts::count(std::uintptr_t address) const noexcept {
  return capacity_ == 0 ? 0 : find(address)->count;
}

void address_counts::put(std::uintptr_t address, std::size_t count) noexcept {
  *find(address) = {address, count};
  ++used_;
}

std::size_t address_counts::take(std::uintptr_t address) noexcept {
  if (capacity_ == 0) return 0;
  place* const at = find(address);
  const std::size_t count = at->count;
  if (count != 0) vacate(at);
  return count;
}

std::size_t address_counts::remove(std::uintptr_t address) noexcept {
  place* const at = find(address);
  if (--at->count != 0) return at->count;
  vacate(at);
  return 0;
}

// What follows in the cluster moves up if it may: a place between its home and the hole.
void address_counts::vacate(place* at) noexcept {
  const std::size_t mask = capacity_ - 1;
  auto hole = static_cast<std::size_t>(at - places_);
  for (std::size_t i = (hole + 1) & mask; places_[i].address != 0; i = (i + 1) & mask) {
    if (((i - home(places_[i].address)) & mask) >= ((i - hole) & mask)) {
      places_[hole] = places_[i];
      hole = i;
    }
  }
  places_[hole] = {0, 0};
  --used_;
}

bool address_counts::is_sound() const noexcept {
  std::size_t found = 0;
  for (std::size_t i = 0; i < capacity_; ++i) {
    if (places_[i].address == 0) continue;
    if (places_[i].count == 0 || find(places_[i].address) != &places_[i]) return false;
    ++found;
  }
  return found == used_;
}

void address_counts::clear() noexcept {
  std::fill_n(places_, capacity_, place{0, 0});
  used_ = 0;
}

}  // namespace strata::mem
