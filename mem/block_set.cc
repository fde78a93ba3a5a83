// SPDX-License-Identifier: Apache-2.0
module;
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "absl/base/thread_annotations.h"

module strata.mem:block_set.impl;

import :address_counts;
import :block_set;
import :bytes;
import :mutex;
import :page_run;
import :threads;

namespace strata::mem {

namespace {

// Under the lock nobody else writes: no read-modify-write is needed.
void change(std::atomic<std::uint32_t>& count, std::uint32_t by) noexcept {
  count.store(count.load(std::memory_order_relaxed) + by, std::memory_order_relaxed);
}

constexpr std::uint32_t one_less = 0xFFFF'FFFF;

}  // namespace

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
  change(outline(block), 1);
  return {};
}

template <threads Threads>
set_answer block_set<Threads>::look_and_take(const void* block, std::size_t bytes) noexcept {
  const lock held(lock_);
  const std::size_t found = blocks_.count(address(block));
  if (found == 0) return set_answer::absent;
  if (found != bytes + 1) return set_answer::other_size;
  static_cast<void>(blocks_.take(address(block)));
  change(outline(block), one_less);
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
  std::array<std::uint32_t, std::size_t{1} << outline_bits> found{};
  blocks_.visit([&found](std::uintptr_t block, std::size_t /*number*/) { ++found[hash(block)]; });
  for (std::size_t i = 0; i < found.size(); ++i) {
    if (outline_[i].load(std::memory_order_relaxed) != found[i]) {
      return "remembered blocks are more or fewer than were counted";
    }
  }
  return nullptr;
}

template class block_set<threads::any>;
template class block_set<threads::one>;

}  // namespace strata::mem
