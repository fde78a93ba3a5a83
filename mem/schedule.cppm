// SPDX-License-Identifier: Apache-2.0
module;
#include <atomic>
#include <cstdint>

export module strata.mem:schedule;

/// Places between two critical sections, or two steps of what has none, named so that a test can have another thread come just there.
///
/// Built with STRATA_SCHEDULE, as the sanitizer configurations are, reached() calls what a test has set; otherwise it is
/// nothing. No lock of this floor is held at any of these places, but the registry's while a thread that ends hands its
/// caches over or caches of others are closed, and that of the thread's own cache, for which nobody waits.
export namespace strata::mem {

enum class moment : std::uint8_t {
  magazine_dry,      ///< cached_slabs: a thread's magazine is empty, the store was not asked yet
  magazine_full,     ///< cached_slabs: a magazine is about to grow or to lose its older part
  cache_made,        ///< cached_slabs: there is a new cache, which is not the thread's yet
  piece_wanted,      ///< slab_store: the depot has room for a batch, but no piece for it
  piece_fetched,     ///< slab_store: one was taken for it
  surplus_removed,   ///< slab_store: a piece is in nobody's books
  span_wanted,       ///< cached_slabs: the store is empty, the layer above will add a span
  run_found,         ///< bitmap: a free run was seen and is about to be claimed
  run_part_taken,    ///< bitmap: a cell's part of a run was claimed
  run_part_cleared,  ///< bitmap: a cell's part of a run was released, or given back
  thread_ending,     ///< cache_registry: a thread's caches are about to be retired
  owner_ending,      ///< cache_registry: an owner's caches are about to be taken from their threads
  call_counted,      ///< cache_books: a call has counted, and has not looked at the magazine yet
  top_seen,          ///< thread_cache, slot_cache: it has looked, and is about to move the top
  caches_closed,     ///< closed_caches: those of other threads are closed, the barrier is not there yet
  barrier_passed,    ///< closed_caches: it is; whether a call is under way in them will be found out
  half_drawn,        ///< sampling_meter: what was drawn is counted, what is left of it is not
};

#ifdef STRATA_SCHEDULE
/// What a test wants called, or null.
inline constinit std::atomic<void (*)(moment)> schedule{nullptr};
inline void reached(moment m) noexcept {
  if (auto* const call = schedule.load(std::memory_order_acquire); call != nullptr) call(m);
}
#else
inline constexpr void reached(moment /*m*/) noexcept {}
#endif

}  // namespace strata::mem
