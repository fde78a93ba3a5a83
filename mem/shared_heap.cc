// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <cstdint>

module strata.mem:shared_heap.impl;

import :shared_heap;

import :boundary_heap;
import :decay;
import :mutex;

namespace strata::mem {

void* shared_heap::allocate(std::size_t bytes) noexcept {
  const lock held(lock_);
  void* const p = heap_.allocate(bytes, 1);
  if (p != nullptr) ++allocations_;
  return p;
}

bool shared_heap::try_allocate(std::size_t bytes, void*& p) noexcept {
  if (!lock_.try_lock()) return false;
  const adopted_lock held(lock_);
  p = heap_.allocate(bytes, 1);
  if (p != nullptr) ++allocations_;
  return true;
}

void* shared_heap::allocate_in(void* base, std::size_t region_bytes, std::size_t bytes) noexcept {
  const lock held(lock_);
  heap_.add(base, region_bytes);
  ++allocations_;
  return heap_.allocate(bytes, 1);
}

shared_heap::freed shared_heap::deallocate(void* p, std::size_t bytes) noexcept {
  const lock held(lock_);
  if (const heap_fault fault = heap_.recognise(p); fault != heap_fault::none) return {fault, nullptr, false, false};
  if (bytes > boundary_heap::usable_size(p)) return {heap_fault::none, nullptr, true, false};
  const auto [fault, emptied] = heap_.deallocate(p);
  if (emptied == nullptr) return {fault, nullptr, false, false};
  if (emptied->bytes == heap_.counters().empty) return {fault, nullptr, false, true};
  heap_.remove(emptied);
  return {fault, emptied, false, true};
}

bool shared_heap::resize(void* p, std::size_t bytes) noexcept {
  const lock held(lock_);
  return heap_.resize(p, bytes);
}

std::size_t shared_heap::usable_size(const void* p) const noexcept {
  const lock held(lock_);
  return heap_.recognise(p) == heap_fault::none ? boundary_heap::usable_size(p) : 0;
}

region* shared_heap::take_empty() noexcept {
  const lock held(lock_);
  return remove_empty();
}

region* shared_heap::take_unused(decay_period period, std::uint64_t now) noexcept {
  const lock held(lock_);
  const bool was_used = heap_.take_low_empty() == 0;
  return idle_.look(period, now, was_used) ? remove_empty() : nullptr;
}

region* shared_heap::remove_empty() noexcept {
  region* const r = heap_.empty_region();
  if (r != nullptr) heap_.remove(r);
  return r;
}

shared_heap::figures shared_heap::count() const noexcept {
  const lock held(lock_);
  return {heap_.counters(), allocations_};
}

heap_report shared_heap::check() const noexcept {
  const lock held(lock_);
  return heap_.check();
}

}  // namespace strata::mem
