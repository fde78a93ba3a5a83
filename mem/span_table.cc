// SPDX-License-Identifier: Apache-2.0
module;
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <new>

module strata.mem:span_table.impl;

import :bytes;
import :span_table;

namespace strata::mem {

std::size_t span_table::wanted() const noexcept {
  const bool half_full = (used_ + 1) * 2 > places_[generation_].mask + 1;
  return half_full && generation_ < growths ? least_growth << generation_ : 0;
}

void span_table::grow(void* memory) noexcept {
  const places& old = places_[generation_];
  const std::size_t count = (least_growth << generation_) / sizeof(place);
  places& made = places_[++generation_];
  made = {mem::at<place>(memory, 0), count - 1};
  for (std::size_t i = 0; i < count; ++i) ::new (&made.at[i]) place(nothing);
  used_ = 0;
  for (std::size_t i = 0; i <= old.mask; ++i) {
    const std::uintptr_t base = old.at[i].load(std::memory_order_relaxed);
    if (base != nothing && base != removed) put(made, base);
  }
  current_.store(&made, std::memory_order_release);
}

void span_table::add(std::uintptr_t base) noexcept {
  if (overflowed_.load(std::memory_order_relaxed)) return;
  const places& in = places_[generation_];
  if (used_ * 2 > in.mask + 1) {
    overflowed_.store(true, std::memory_order_relaxed);
  } else {
    put(in, base);
  }
}

// Places of removed spans are used again; readers that pass one by either see it or a span they do not look for.
void span_table::put(const places& in, std::uintptr_t base) noexcept {
  std::size_t i = first(base, in);
  std::uintptr_t found = in.at[i].load(std::memory_order_relaxed);
  while (found != nothing && found != removed) {
    i = (i + 1) & in.mask;
    found = in.at[i].load(std::memory_order_relaxed);
  }
  if (found == nothing) ++used_;
  in.at[i].store(base, std::memory_order_relaxed);
}

void span_table::remove(std::uintptr_t base) noexcept {
  const places& in = places_[generation_];
  std::size_t i = first(base, in);
  for (;; i = (i + 1) & in.mask) {
    const std::uintptr_t found = in.at[i].load(std::memory_order_relaxed);
    if (found == nothing) return;  // added when there was no place any more
    if (found == base) break;
  }
  in.at[i].store(removed, std::memory_order_relaxed);
}

void span_table::clear() noexcept {
  for (place& each : few_) each.store(nothing, std::memory_order_relaxed);
  places_[0] = {few_.data(), few - 1};
  generation_ = used_ = 0;
  overflowed_.store(false, std::memory_order_relaxed);
  current_.store(&places_[0], std::memory_order_release);
}

}  // namespace strata::mem
