// SPDX-License-Identifier: Apache-2.0
module;
#include <atomic>

module strata.mem:small_mutex.impl;

import :small_mutex;

namespace strata::mem {

void small_mutex::lock_slowly() noexcept {
  for (int i = 0; i < 100; ++i) {
    int expected = free;
    if (state_.load(std::memory_order_relaxed) == free &&
        state_.compare_exchange_weak(expected, held, std::memory_order_acquire, std::memory_order_relaxed)) {
      return;
    }
  }
  // Whoever sleeps leaves the mark; who gets the lock here keeps it, since others may sleep still.
  while (state_.exchange(contended, std::memory_order_acquire) != free)
    state_.wait(contended, std::memory_order_relaxed);
}

}  // namespace strata::mem
