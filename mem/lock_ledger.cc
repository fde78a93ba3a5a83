// SPDX-License-Identifier: Apache-2.0
module;
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <new>

#include "absl/base/thread_annotations.h"

module strata.mem:lock_ledger.impl;

import :address_counts;
import :bytes;
import :lock_ledger;
import :mutex;
import :page_run;

import strata.platform;

namespace strata::mem {

namespace {

void* pointer(std::uintptr_t a) noexcept { return reinterpret_cast<void*>(a); }

}  // namespace

// Where fork hooks are refused a child believes in locks it does not have, and finds the mutex as any other.
lock_ledger::lock_ledger() noexcept : hook_(0, {.child = in_child}, this) {
  static_cast<void>(platform::at_fork(hook_));
}

lock_ledger::~lock_ledger() { platform::cancel(hook_); }

lock_ledger& lock_ledger::of_process() noexcept {
  alignas(lock_ledger) static std::byte place[sizeof(lock_ledger)];
  static lock_ledger* const made = ::new (place) lock_ledger;
  return *made;
}

lock_ledger::pages lock_ledger::pages_of(const void* block, std::size_t bytes) noexcept {
  const std::size_t page = page_bytes();
  const std::uintptr_t begin = address(block);
  const std::uintptr_t end = begin + bytes;
  pages found{.first = round_down(begin, page),
              .end = round_up(end, page),
              .shares_first = begin % page != 0,
              .shares_last = end % page != 0};
  if (found.end - found.first == page) {  // one page, counted once
    found.shares_first = found.shares_first || found.shares_last;
    found.shares_last = false;
  }
  return found;
}

// A block with its pages to itself is locked without the mutex: making many pages resident takes long.
os_error lock_ledger::lock(const void* block, std::size_t bytes, lock_time when) noexcept {
  if (bytes == 0) return {};
  const pages wanted = pages_of(block, bytes);
  const bool shares = wanted.shares_first || wanted.shares_last;
  {
    const mem::lock held(lock_);
    if (const os_error refused = blocks_.prepare(1); refused.failed()) return refused;
    if (shares) {
      if (const os_error refused = lock_shared(wanted, when); refused.failed()) return refused;
      blocks_.add(address(block));
      return {};
    }
    blocks_.add(address(block));
  }
  const std::size_t size = wanted.end - wanted.first;
  const os_error refused = platform::lock(pointer(wanted.first), size, when);
  if (!refused.failed()) {
    bytes_.fetch_add(size, std::memory_order_relaxed);
    return {};
  }
  const mem::lock held(lock_);
  blocks_.remove(address(block));
  return refused;
}

// A page that is locked already is not locked again, as undoing that would unlock it; to have it resident it is touched.
os_error lock_ledger::lock_shared(pages wanted, lock_time when) noexcept {
  const std::size_t page = page_bytes();
  if (const os_error refused = ends_.prepare(2); refused.failed()) return refused;
  pages fresh = wanted;
  const auto join = [&](std::uintptr_t shared) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    if (ends_.add(shared) == 1) return false;
    if (when == lock_time::now) static_cast<void>(platform::prefault(pointer(shared), page));
    return true;
  };
  if (wanted.shares_first && join(wanted.first)) fresh.first += page;
  if (wanted.shares_last && join(wanted.end - page)) fresh.end -= page;
  if (fresh.first >= fresh.end) return {};
  const std::size_t size = fresh.end - fresh.first;
  const os_error refused = platform::lock(pointer(fresh.first), size, when);
  if (refused.failed()) {
    static_cast<void>(leave(wanted));
    return refused;
  }
  bytes_.fetch_add(size, std::memory_order_relaxed);
  return {};
}

// Takes a block's ends out of the count; returns the pages that are nobody's then.
lock_ledger::pages lock_ledger::leave(pages given) noexcept {
  const std::size_t page = page_bytes();
  pages left = given;
  if (given.shares_first && ends_.remove(given.first) != 0) left.first += page;
  if (given.shares_last && ends_.remove(given.end - page) != 0) left.end -= page;
  return left;
}

// Pages that are nobody's may become another block's at once, so they are unlocked before anyone can come; but of a
// block with its pages to itself the memory is still the caller's.
bool lock_ledger::unlock(const void* block, std::size_t bytes) noexcept {
  if (bytes == 0) return false;
  const pages given = pages_of(block, bytes);
  {
    const mem::lock held(lock_);
    if (blocks_.count(address(block)) == 0) return false;
    blocks_.remove(address(block));
    if (given.shares_first || given.shares_last) {
      unlock_pages(leave(given));
      return true;
    }
  }
  unlock_pages(given);
  return true;
}

void lock_ledger::unlock_pages(const pages& given) noexcept {
  if (given.first >= given.end) return;
  const std::size_t size = given.end - given.first;
  bytes_.fetch_sub(size, std::memory_order_relaxed);
  if (platform::unlock(pointer(given.first), size).failed()) refused_.fetch_add(size, std::memory_order_relaxed);
}

// The child's only thread; the mutex is held, or free, as its own hook comes before or after.
void lock_ledger::in_child(void* ledger) noexcept ABSL_NO_THREAD_SAFETY_ANALYSIS {
  auto* const self = static_cast<lock_ledger*>(ledger);
  self->blocks_.clear();
  self->ends_.clear();
  self->bytes_.store(0, std::memory_order_relaxed);
  self->refused_.store(0, std::memory_order_relaxed);
  self->generation_.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace strata::mem
