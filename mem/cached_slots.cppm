// SPDX-License-Identifier: Apache-2.0
module;
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "absl/functional/function_ref.h"

export module strata.mem:cached_slots;

import :slot_cache;
import :slot_pool;
import :slot_shape;
import :thread_number;
import :threads;

/// A slot_pool with a cache for each thread: no read-modify-write as long as the thread's cache serves.
///
/// A cache is found in a table by the thread's number. One that is empty is filled from the pool, one that is full gives
/// its older half back, each by one compare-and-swap. A thread that has no cache (there is no memory for one, or no
/// number for the thread) works on the pool directly: two compare-and-swaps a pair. The table is part of the object: 2
/// KiB.
///
/// Caches are made of memory the caller brings, in taking alone, for giving back must not need any: so one spare cache
/// is kept for a thread that only gives back.
///
/// Thread exit    its cache stays, with what it holds, for the next thread of that number; drain() empties it
/// Fork           caches of threads the child does not have are never used again; drain() empties those that were not in the
///                middle of a call
/// Threads        any; threads::one: one at a time, with one cache, and no atomic read-modify-write anywhere. Nothing
///                throws, allocates, locks or waits, but a thread's first call, and drain(), which lock the list of
///                thread numbers
export namespace strata::mem {

template <threads Threads>
class cached_slots {
 public:
  using cache = slot_cache<Threads>;
  using place = typename cache::place;

  explicit cached_slots(const slot_shape& shape) noexcept
      : pool_(shape), capacity_(cache::capacity(shape.slot_bytes)) {}
  cached_slots(const cached_slots&) = delete;
  cached_slots& operator=(const cached_slots&) = delete;

  /// A slot from the calling thread's cache, or null: then refill(). `bytes` of it are asked for.
  [[nodiscard]] inline void* take(std::size_t bytes) noexcept {
    cache* const c = mine();
    if (c == nullptr) [[unlikely]] {
      return nullptr;
    }
    return c->pop(bytes);
  }

  /// A slot, from the pool if need be; null only when that is empty.
  [[nodiscard]] void* refill(std::size_t bytes) noexcept;

  /// Takes back what take() or refill() gave for so many bytes, if that is easy; else false, and put() will do or say.
  [[nodiscard]] inline bool put_easily(void* p, std::size_t bytes) noexcept {
    cache* const c = mine();
    const place at = pool_.find_easily(p);
    // Of two threads that put one slot at the very same time, both may find it out.
    if (c == nullptr || at.slot == nullptr || !pool_.is_out(at)) [[unlikely]] {
      return false;
    }
    return c->push(at, bytes);
  }

  /// Takes it back. A fault changes nothing.
  [[nodiscard]] slot_fault put(void* p, std::size_t bytes) noexcept;

  /// What put(p) would find.
  [[nodiscard]] slot_fault inspect(const void* p) const noexcept;

  /// Whether a cache is wanted, by the calling thread or as a spare.
  [[nodiscard]] bool wants_cache() noexcept;
  /// Makes a cache for the calling thread, or a spare one; false when none is wanted any more. Pre: `memory` is
  /// sizeof(cache) bytes, aligned so.
  [[nodiscard]] bool add_cache(void* memory) noexcept;

  /// Empties the calling thread's cache.
  void drain_mine() noexcept;
  /// Empties all caches; but not of a thread that is at it just now, or where the system has no barrier for all threads.
  void drain() noexcept;
  /// The same, but leaves those that were used since the last such call. One such call at a time.
  void drain_idle() noexcept;
  /// Returns all caches, linked by cache::next, and forgets what was live. Pre: no other call is under way.
  cache* clear_caches() noexcept;

  [[nodiscard]] inline slot_pool<Threads>& pool() noexcept { return pool_; }
  [[nodiscard]] inline const slot_pool<Threads>& pool() const noexcept { return pool_; }

  struct figures {
    std::size_t live = 0;   ///< bytes handed out, as asked for
    std::size_t out = 0;    ///< slots handed out
    std::size_t taken = 0;  ///< how often one was
  };
  /// Right when no call is under way.
  [[nodiscard]] figures count() const noexcept;

 private:
  static constexpr bool shared = Threads == threads::any;
  static constexpr std::size_t table_size = shared ? max_thread_number + 1 : 1;

  // Place 0 stays null where there are many.
  [[nodiscard]] inline cache* mine() const noexcept {
    return caches_[shared ? number_of_this_thread : 0].load(std::memory_order_relaxed);
  }
  void set_mine(cache* c) noexcept;
  [[nodiscard]] cache* mine_or_spare() noexcept;
  void empty(cache& c) noexcept;
  /// Empties those of which `may_go` says so, under the lock of thread numbers, and all no thread has; as drain().
  void drain_where(absl::FunctionRef<bool(cache&)> may_go) noexcept
    requires(Threads == threads::any);

  slot_pool<Threads> pool_;
  const std::size_t capacity_;  ///< of a cache
  std::atomic<cache*> spare_{nullptr};
  std::array<std::atomic<cache*>, table_size> caches_{};
  std::atomic<std::size_t> places_{shared ? 0 : 1};  ///< of caches_ that may be in use: those before this
  // What was counted in caches that are gone, and without one.
  tally<Threads> live_;
  tally<Threads> taken_;
  tally<Threads> put_;
};

}  // namespace strata::mem
