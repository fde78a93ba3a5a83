// SPDX-License-Identifier: Apache-2.0
module;
#include <atomic>
#include <cstdint>

module strata.mem:growth.impl;

import :growth;

import strata.platform;

namespace strata::mem {

growth::growth() noexcept
    : hook_(0, {.prepare = nullptr, .parent = nullptr, .child = in_child}, this), refused_(platform::at_fork(hook_)) {}

growth::~growth() { platform::cancel(hook_); }

namespace {

// Its address stands for the thread.
constinit thread_local char me = 0;

}  // namespace

bool growth::begin(moment seen) noexcept {
  const bool mine =
      state_.compare_exchange_strong(seen, seen | growing, std::memory_order_acquire, std::memory_order_relaxed);
  if (mine) grower_.store(&me, std::memory_order_relaxed);
  return mine;
}

bool growth::is_mine() const noexcept { return grower_.load(std::memory_order_relaxed) == &me; }

void growth::end(bool succeeded) noexcept {
  grower_.store(nullptr, std::memory_order_relaxed);
  const moment ended = (state_.load(std::memory_order_relaxed) | (growing | failed)) ^ (growing | failed);
  state_.store(ended + episode + (succeeded ? 0 : failed), std::memory_order_release);
  state_.notify_all();
}

// What comes after the episode may have begun when the waiter wakes: the mark of failure stays until that has ended
// too. A waiter that sleeps through two episodes does not know and looks again.
bool growth::wait(moment seen) noexcept {
  waiting_.fetch_add(1, std::memory_order_release);
  state_.wait(seen, std::memory_order_acquire);
  waiting_.fetch_sub(1, std::memory_order_release);
  const moment now = state_.load(std::memory_order_acquire);
  const bool next = now / episode == seen / episode + 1;
  return !next || (now & failed) == 0;
}

// Whoever grew or waited does not exist here. What had been granted is lost to the child.
void growth::in_child(void* self) noexcept {
  auto* const g = static_cast<growth*>(self);
  g->waiting_.store(0, std::memory_order_relaxed);
  if (under_way(g->now())) g->end(false);
}

}  // namespace strata::mem
