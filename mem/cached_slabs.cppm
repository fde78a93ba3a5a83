// SPDX-License-Identifier: Apache-2.0
module;
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "absl/functional/function_ref.h"

export module strata.mem:cached_slabs;

import :cache_registry;
import :decay;
import :size_class;
import :slab;
import :slab_store;
import :sole_cache;
import :thread_cache;
import :threads;

/// Slabs with a cache for each thread: small blocks for any thread, without a lock as long as the thread's magazine
/// serves.
///
/// A magazine that is empty is filled to half its limit from the store; one that is full grows or gives its older part
/// back to it. What remains is what was freed last, so a hot loop stays in the cache of the processor, while blocks
/// that were long free return to their slabs and come out again in address order. Blocks freed by another thread than
/// the one that allocated them travel the same way, in batches.
///
/// What the caches of other threads hold can be taken while those are at nothing here (:cache_books says how): by trim(), and when
/// it was of no use for a decay.
///
/// A thread's cache lies in a slot of the store. A thread that can have none (out of numbers, or in its very last
/// breath) works on the store directly. Over a checked store, and under an inspector, every call
/// takes the slow way. Nothing throws or
/// allocates.
export namespace strata::mem {

/// How caches work.
struct cache_plan {
  std::size_t bytes = std::size_t{8} << 20;  ///< of slots that a thread may keep, at most
};

template <threads Threads>
class cached_slabs {
 public:
  explicit cached_slabs(slab_plan slabs = {}, cache_plan caches = {}) noexcept;
  ~cached_slabs();  ///< Pre: clear() was called.
  cached_slabs(const cached_slabs&) = delete;
  cached_slabs& operator=(const cached_slabs&) = delete;

  /// A block of class `c` from the calling thread's magazine, or null: then refill(). `bytes` is what was asked for,
  /// for the figures.
  [[nodiscard]] inline void* allocate(std::size_t c, std::size_t bytes) noexcept {
    thread_cache* const cache = owner_.mine();
    if (cache == nullptr) [[unlikely]] {
      return nullptr;
    }
    return cache->pop(c, bytes);
  }

  /// A block of class `c`, from the store if need be. Null only when the store needs a span. What the store refused on
  /// the way, if anything, is put in `refused`.
  [[nodiscard]] void* refill(std::size_t c, std::size_t bytes, refused_slot& refused) noexcept;

  /// Takes a block back into the calling thread's magazine; false when that has no place: then flush().
  [[nodiscard]] inline bool deallocate(std::size_t c, void* block, std::size_t bytes) noexcept {
    thread_cache* const cache = owner_.mine();
    return cache != nullptr && cache->push(c, block, bytes);
  }

  /// Takes a block back and makes room. What is refused is returned and left alone.
  refused_slot flush(std::size_t c, void* block, std::size_t bytes) noexcept;

  /// Gives all that magazines hold, and every empty slab, back to the spans; but not of a thread that is at it just now, or
  /// where the system has no barrier for all threads. Returns what was refused, also when a thread that ended gave its
  /// magazines back.
  refused_slot trim() noexcept;

  /// Gives all the calling thread's magazines hold back to their slabs. Returns what was refused.
  refused_slot flush_mine() noexcept;

  /// The same with the magazines of every thread, as trim(), that has not used them for the plan's decay, at `now`. As slab_store::let_go(), which is for the rest.
  typename slab_store<Threads>::unused let_go_of_idle(std::uint64_t now) noexcept;

  /// Forgets everything and returns the spans, linked by span::next. Pre: no other call is under way.
  span* clear() noexcept;

  [[nodiscard]] inline slab_store<Threads>& store() noexcept { return store_; }
  [[nodiscard]] inline const slab_store<Threads>& store() const noexcept { return store_; }

  struct figures {
    std::size_t live = 0;           ///< bytes handed out, as asked for
    std::size_t allocations = 0;    ///< calls
    std::size_t deallocations = 0;  ///< calls
    std::size_t caches = 0;         ///< bytes of the threads' caches
  };
  [[nodiscard]] figures count() const noexcept;

 private:
  static void thread_ends(void* slabs, thread_cache* cache) noexcept;
  [[nodiscard]] thread_cache* make_cache() noexcept;
  void put_cache(thread_cache* cache) noexcept;
  void keep_counters_of(const thread_cache& cache) noexcept;
  refused_slot take_from(absl::FunctionRef<bool(thread_cache&)> wanted) noexcept;
  refused_slot return_all(thread_cache& cache) noexcept;
  [[nodiscard]] std::size_t affordable(thread_cache& cache, std::size_t c, std::size_t wanted,
                                       refused_slot& refused) noexcept;
  refused_slot give_back(thread_cache& cache, std::size_t c, std::size_t count) noexcept;
  refused_slot make_room(thread_cache& cache, std::size_t c) noexcept;
  refused_slot empty(thread_cache& cache) noexcept;

  const cache_plan plan_;
  const decay_period decay_;
  slab_store<Threads> store_;
  std::conditional_t<Threads == threads::any, cache_owner, sole_cache> owner_;
  // Of threads that ended or have no cache, as in thread_cache.
  tally<Threads> live_;
  tally<Threads> allocations_;
  tally<Threads> deallocations_;
  // What was refused when nobody could be told.
  std::atomic<slab_fault> untold_{slab_fault::none};
  std::atomic<const void*> untold_slot_{nullptr};
};

}  // namespace strata::mem
