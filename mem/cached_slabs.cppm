// SPDX-License-Identifier: Apache-2.0
module;
#include <atomic>
#include <cstddef>

export module strata.mem:cached_slabs;

import :cache_registry;
import :size_class;
import :slab;
import :slab_store;
import :thread_cache;

/// Slabs with a cache for each thread: small blocks for any thread, without a lock as long as the thread's magazine
/// serves.
///
/// A magazine that is empty is filled to half its capacity from the store; one that is full gives its older half back
/// to it. What remains is what was freed last, so a hot loop stays in the cache of the processor, while blocks that
/// were long free return to their slabs and come out again in address order. Blocks freed by another thread than the
/// one that allocated them travel the same way, in batches.
///
/// A thread's cache lies in a slot of the store. A thread that can have none (out of numbers, or in its very last
/// breath) works on the store directly. Any thread; nothing throws or allocates.
export namespace strata::mem {

class cached_slabs {
 public:
  cached_slabs() noexcept;
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
    void* const block = cache->pop(c);
    if (block != nullptr) [[likely]] {
      cache->handed_out(bytes);
    }
    return block;
  }

  /// A block of class `c`, from the store if need be. Null only when the store needs a span.
  [[nodiscard]] void* refill(std::size_t c, std::size_t bytes) noexcept;

  /// Takes a block back into the calling thread's magazine; false when that has no place: then flush().
  [[nodiscard]] inline bool deallocate(std::size_t c, void* block, std::size_t bytes) noexcept {
    thread_cache* const cache = owner_.mine();
    if (cache == nullptr || !cache->push(c, block)) [[unlikely]] {
      return false;
    }
    cache->taken_back(bytes);
    return true;
  }

  /// Takes a block back and makes room. What the store refuses is returned and left alone.
  slab_store::refused flush(std::size_t c, void* block, std::size_t bytes) noexcept;

  /// Gives all the calling thread's magazines hold, and every empty slab, back to the spans.
  slab_store::refused trim() noexcept;

  /// Forgets everything and returns the spans, linked by span::next. Pre: no other call is under way.
  span* clear() noexcept;

  [[nodiscard]] inline slab_store& store() noexcept { return store_; }
  [[nodiscard]] inline const slab_store& store() const noexcept { return store_; }

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
  void keep_counters_of(const thread_cache& cache) noexcept;
  slab_store::refused empty(thread_cache* cache) noexcept;

  slab_store store_;
  cache_owner owner_;
  // Of threads that ended or have no cache, as in thread_cache.
  std::atomic<std::size_t> live_{0};
  std::atomic<std::size_t> allocations_{0};
  std::atomic<std::size_t> deallocations_{0};
};

}  // namespace strata::mem
