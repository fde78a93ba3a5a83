// SPDX-License-Identifier: Apache-2.0
module;
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>

module strata.mem:address_sieve.impl;

import :address_sieve;
import :bytes;
import :page_run;

namespace strata::mem {

address_sieve::address_sieve() noexcept
    : places_(first_places_.data()),
      tallies_(first_tallies_.data()),
      shift_(64U - static_cast<unsigned>(std::countr_zero(first_capacity))) {
  publish();
}

// Should the OS not take one back, it is no more than was needed.
address_sieve::~address_sieve() {
  for (std::size_t i = 0; i < run_count_; ++i) static_cast<void>(unmap_run(runs_[i]));
}

std::size_t address_sieve::index_of(std::uintptr_t address) const noexcept {
  return static_cast<std::size_t>(hash(address) >> shift_);
}

void address_sieve::publish() noexcept { table_.store(address(places_) | shift_, std::memory_order_release); }

void address_sieve::show(std::size_t index) noexcept {
  const tally& t = tallies_[index];
  const std::uintptr_t alone = t.count == 1 ? t.mixed : several;
  places_[index].store(t.count == 0 ? nothing : alone, std::memory_order_relaxed);
}

void address_sieve::enter(std::uintptr_t address) noexcept {
  const std::size_t index = index_of(address);
  tallies_[index].mixed ^= address;
  ++tallies_[index].count;
  show(index);
}

void address_sieve::add(std::uintptr_t address) noexcept {
  ++size_;
  if (!open_) enter(address);
}

void address_sieve::remove(std::uintptr_t address) noexcept {
  --size_;
  if (open_) return;
  const std::size_t index = index_of(address);
  tallies_[index].mixed ^= address;
  --tallies_[index].count;
  show(index);
}

// The first places, which all say "several" and are never changed.
void address_sieve::let_all_through() noexcept {
  open_ = true;
  capacity_ = SIZE_MAX;
  for (place& each : first_places_) each.store(several, std::memory_order_relaxed);
}

// Zeros, as the OS brings them, are places and tallies of nothing. The old table is left as it is.
bool address_sieve::prepare_larger() noexcept {
  if (open_ || run_count_ == runs_.size()) return false;
  const std::size_t wanted = 2 * capacity_;
  const page_run_result fresh =
      map_run(wanted * (sizeof(place) + sizeof(tally)), page_bytes(), {.label = "strata: samples"});
  if (fresh.error.failed()) return false;
  runs_[run_count_++] = fresh.run;
  bytes_ += fresh.run.bytes;
  places_ = static_cast<place*>(fresh.run.base);
  tallies_ = at<tally>(fresh.run.base, static_cast<std::ptrdiff_t>(wanted * sizeof(place)));
  capacity_ = wanted;
  --shift_;
  return true;
}

}  // namespace strata::mem
