// SPDX-License-Identifier: Apache-2.0
module;
#include <utility>

#include "absl/base/thread_annotations.h"

export module strata.mem:closed_caches;

import :schedule;

import strata.platform;

/// The caches of other threads that a taker has closed, until it knows which of them are its own: steps a to e of
/// :cache_books, with one barrier for all.
///
/// Between add() and settle() no cache among them may go, no thread of theirs end, and no fork begin: whoever uses this holds the lock
/// that sees to that. `Cache` has books, close(), judge() and next_closed. One thread; nothing throws or allocates.
export namespace strata::mem {

template <class Cache>
class closed_caches {
 public:
  /// Closes it, unless it is empty or in use: a lock that somebody has says so, which in a child may be a thread that is not
  /// there.
  inline void add(Cache& cache) noexcept ABSL_NO_THREAD_SAFETY_ANALYSIS {
    if (!cache.books.lock.try_lock()) return;
    if (cache.close()) {
      cache.next_closed = std::exchange(first_, &cache);
    } else {
      cache.books.lock.unlock();
    }
  }

  /// Calls `take` with each of them whose thread was at nothing; the others are as they were. Then there are none here.
  template <class Take>
  inline void settle(const Take& take) noexcept ABSL_NO_THREAD_SAFETY_ANALYSIS {
    if (first_ == nullptr) return;
    reached(moment::caches_closed);
    const bool passed = !platform::process_barrier().failed();
    reached(moment::barrier_passed);
    for (Cache* cache = std::exchange(first_, nullptr); cache != nullptr;) {
      Cache* const next = cache->next_closed;  // read before the lock is let go
      if (cache->judge(passed)) take(*cache);
      cache->books.lock.unlock();
      cache = next;
    }
  }

 private:
  Cache* first_ = nullptr;
};

}  // namespace strata::mem
