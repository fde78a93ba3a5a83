// SPDX-License-Identifier: Apache-2.0
module;
#include <atomic>
#include <cstddef>

#include "absl/base/thread_annotations.h"

export module strata.mem:cache_books;

import :schedule;
import :small_mutex;
import :threads;

/// What a thread's cache counts, and how another thread finds out by it that no call is under way there.
///
/// The owner's calls take no lock. Each counts first, then looks at the top of a magazine, then moves it, or finds nothing
/// to do there and takes the count back:
///
///     owner, a call                              taker
///     1  out or in + 1                           a  lock of the cache; no try is waited for
///     2  look at the top: miss? count back,      b  every top: exchanged for a place where every look is a miss
///        and to the slow way, under the lock     c  a barrier in every thread of the process
///     3  read or write the entry                 d  are all tops still closed, and do counts and contents agree?
///     4  move the top                            e  yes: the contents are the taker's. No: every top that is still
///                                                   closed gets back what it was. Then the lock is let go
///
/// Invariant, while no call is under way: inside + out - in == `due`, modulo 2^64, where `inside` is what the tops say. `due` changes
/// under the lock alone, with what comes and goes otherwise than by such calls.
///
/// Why (d) cannot be wrong. The barrier has met the owner at one place of its program; call it P. A call that looks after P
/// sees a closed top and moves none. So what (d) must not miss is a call that looked before P at a top that was open, and
/// moves it after P. Its count is before P, hence visible; earlier calls are over, so all they did is visible too, and none
/// of them moved a top after (b), or (d) would see that top open. If nothing more has become visible, counts and contents
/// differ by that one call. If something has, it is of a later call, and stored after this one's move (1 and 4 release,
/// (d) reads counts before tops and acquires): then (d) sees the moved top. Either way it says no.
///
/// Why (e) undoes it. A top that is still closed was not moved since (b): the owner may be about to move it, by one from what it was
/// then, which is what it is given back. A top that was moved is right as it is. The owner may be anywhere, for any time;
/// the next taker finds the same.
///
/// So a yes means that the owner is at a place where it has nothing under way, and it stays so: whatever it calls next
/// misses, and waits for the lock.
export namespace strata::mem {

class cache_books {
 public:
  // Owner, step 1 and its undoing.
  inline void going_out(std::size_t bytes) noexcept {
    add(bytes_out_, bytes);
    add(out_, 1);
    counted();
  }
  inline void coming_in(std::size_t bytes) noexcept {
    add(bytes_in_, bytes);
    add(in_, 1);
    counted();
  }
  inline void not_out(std::size_t bytes) noexcept {
    add(bytes_out_, std::size_t{0} - bytes);
    add(out_, std::size_t{0} - 1);
  }
  inline void not_in(std::size_t bytes) noexcept {
    add(bytes_in_, std::size_t{0} - bytes);
    add(in_, std::size_t{0} - 1);
  }

  /// Held round whatever is not such a call. A taker tries it; the owner, on its slow way, waits for it.
  small_mutex lock;

  // Under the lock.

  /// So many came into the magazines otherwise than by a call, or left them (minus as many).
  inline void moved_in(std::size_t count) noexcept { due_ += count; }
  /// A call was served past the magazines.
  inline void went_past(std::size_t bytes) noexcept {
    going_out(bytes);
    ++due_;
  }
  inline void came_past(std::size_t bytes) noexcept {
    coming_in(bytes);
    --due_;
  }

  /// Step d, the first half: look at the tops only afterwards.
  [[nodiscard]] inline bool agree_with(std::size_t inside) const noexcept {
    return inside + out_.load(std::memory_order_acquire) - in_.load(std::memory_order_acquire) == due_;
  }

  // Any thread.

  /// Bytes this thread handed out, less those it took back: modulo 2^64, since what one thread hands out another may
  /// take back.
  [[nodiscard]] inline std::size_t live() const noexcept {
    return bytes_out_.load(std::memory_order_relaxed) - bytes_in_.load(std::memory_order_relaxed);
  }
  [[nodiscard]] inline std::size_t out() const noexcept { return out_.load(std::memory_order_relaxed); }
  [[nodiscard]] inline std::size_t in() const noexcept { return in_.load(std::memory_order_relaxed); }

 private:
  // One writer: a plain add that other threads may read. What was stored before is visible with it.
  static inline void add(std::atomic<std::size_t>& counter, std::size_t n) noexcept {
    counter.store(counter.load(std::memory_order_relaxed) + n, std::memory_order_release);
  }
  // Step 2 comes after step 1 in the program: no instruction, but the compiler must not turn them round.
  static inline void counted() noexcept {
    std::atomic_signal_fence(std::memory_order_seq_cst);
    reached(moment::call_counted);
  }

  // Two sums of bytes rather than one that goes up and down: each waits for its own last store only.
  std::atomic<std::size_t> bytes_out_{0};
  std::atomic<std::size_t> bytes_in_{0};
  std::atomic<std::size_t> out_{0};  ///< calls
  std::atomic<std::size_t> in_{0};
  std::size_t due_ = 0;
};

/// A thread's slow way with its own cache: takers keep away while this lives, and the cache is open. Also whose thread is gone.
template <threads Threads, class Cache>
class cache_use {
 public:
  inline explicit cache_use(Cache& cache) noexcept ABSL_NO_THREAD_SAFETY_ANALYSIS : cache_(cache) {
    if constexpr (Threads == threads::any) cache_.books.lock.lock();
    cache_.open();
  }
  inline ~cache_use() ABSL_NO_THREAD_SAFETY_ANALYSIS {
    if constexpr (Threads == threads::any) cache_.books.lock.unlock();
  }
  cache_use(const cache_use&) = delete;
  cache_use& operator=(const cache_use&) = delete;

 private:
  Cache& cache_;
};

}  // namespace strata::mem
