// SPDX-License-Identifier: Apache-2.0
module;
#include <atomic>

#include "absl/base/thread_annotations.h"

export module strata.mem:small_mutex;

import :checked;
import :lock_watch;

/// A lock of four bytes, for where there are many of them and one is held for a batch at most (Drepper, "Futexes are tricky", mutex 2).
///
/// One exchange to lock, one to unlock; spins briefly, then sleeps. It knows nothing of fork(): whoever has an array of them takes them all
/// round a fork. Not recursive.
export namespace strata::mem {

class ABSL_LOCKABLE small_mutex {
 public:
  small_mutex() = default;
  small_mutex(const small_mutex&) = delete;
  small_mutex& operator=(const small_mutex&) = delete;

  inline void lock() noexcept ABSL_EXCLUSIVE_LOCK_FUNCTION() {
    if constexpr (checked) watch_small_wait(this);
    int expected = free;
    if (!state_.compare_exchange_strong(expected, held, std::memory_order_acquire, std::memory_order_relaxed))
        [[unlikely]] {
      lock_slowly();
    }
    if constexpr (checked) watch_small_taken(this);
  }

  /// Waits for nobody.
  [[nodiscard]] inline bool try_lock() noexcept ABSL_EXCLUSIVE_TRYLOCK_FUNCTION(true) {
    int expected = free;
    if (!state_.compare_exchange_strong(expected, held, std::memory_order_acquire, std::memory_order_relaxed)) {
      return false;
    }
    if constexpr (checked) watch_small_taken(this);
    return true;
  }

  inline void unlock() noexcept ABSL_UNLOCK_FUNCTION() {
    if constexpr (checked) watch_small_release(this);
    if (state_.exchange(free, std::memory_order_release) == contended) [[unlikely]] {
      state_.notify_one();
    }
  }

 private:
  void lock_slowly() noexcept;

  static constexpr int free = 0;
  static constexpr int held = 1;
  static constexpr int contended = 2;  ///< held, and somebody may sleep

  std::atomic<int> state_{free};
};

}  // namespace strata::mem
