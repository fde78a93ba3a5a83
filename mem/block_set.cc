// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <cstdint>

#include "absl/base/thread_annotations.h"

module strata.mem:block_set.impl;

import :address_counts;
import :address_outline;
import :block_set;
import :bytes;
import :mutex;
import :page_run;
import :threads;

namespace strata::mem {

template <threads Threads>
os_error block_set<Threads>::prepare(std::size_t more) noexcept {
  const lock held(lock_);
  return blocks_.prepare(more);
}

template <threads Threads>
os_error block_set<Threads>::add(const void* block, std::size_t bytes) noexcept {
  const lock held(lock_);
  if (const os_error refused = blocks_.prepare(1); refused.failed()) return refused;
  blocks_.put(address(block), bytes + 1);
  outline_.add(address(block));
  return {};
}

template <threads Threads>
set_answer block_set<Threads>::look_and_take(const void* block, std::size_t bytes) noexcept {
  const lock held(lock_);
  const std::size_t found = blocks_.count(address(block));
  if (found == 0) return set_answer::absent;
  if (found != bytes + 1) return set_answer::other_size;
  static_cast<void>(blocks_.take(address(block)));
  outline_.remove(address(block));
  return set_answer::taken;
}

template <threads Threads>
std::size_t block_set<Threads>::size() const noexcept {
  const lock held(lock_);
  return blocks_.size();
}

template <threads Threads>
const char* block_set<Threads>::check() const noexcept {
  const lock held(lock_);
  if (!blocks_.is_sound()) return "a remembered block is not found where its address says";
  address_outline::counts found{};
  blocks_.visit([&found](std::uintptr_t block, std::size_t /*number*/) { ++found[address_outline::hash(block)]; });
  if (!outline_.is(found)) return "remembered blocks are more or fewer than were counted";
  return nullptr;
}

template class block_set<threads::any>;
template class block_set<threads::one>;

}  // namespace strata::mem
