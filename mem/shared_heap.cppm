// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <cstdint>

#include "absl/base/thread_annotations.h"

export module strata.mem:shared_heap;

import :boundary_heap;
import :decay;
import :mutex;
import :page_run;

/// A boundary_heap under a lock, that hands back regions it has no use for.
///
/// It keeps one empty region at most, so a load that empties and refills a region asks nobody; further ones are the
/// caller's at once, outside the lock.
///
/// Any thread; nothing throws or allocates; O(1).
export namespace strata::mem {

class shared_heap {
 public:
  shared_heap() noexcept : heap_({}) {}

  /// Null when no free block is large enough.
  [[nodiscard]] void* allocate(std::size_t bytes) noexcept ABSL_LOCKS_EXCLUDED(lock_);
  /// The same unless another thread is busy here: then false.
  [[nodiscard]] bool try_allocate(std::size_t bytes, void*& p) noexcept ABSL_LOCKS_EXCLUDED(lock_);
  /// As allocate(), with a new region in one step: nobody comes between. Pre: as boundary_heap::add().
  [[nodiscard]] void* allocate_in(void* base, std::size_t region_bytes, std::size_t bytes) noexcept
      ABSL_LOCKS_EXCLUDED(lock_);

  struct freed {
    heap_fault fault;  ///< unless none, nothing has changed
    region* surplus;   ///< no longer this heap's, or null
    bool too_short;    ///< the block holds less than `bytes`; then nothing has changed
    bool emptied;      ///< a region has no block any more, surplus or not
  };
  /// Takes back a block that was asked for with `bytes`, at most: what it holds is less otherwise.
  [[nodiscard]] freed deallocate(void* p, std::size_t bytes) noexcept ABSL_LOCKS_EXCLUDED(lock_);

  /// As boundary_heap::resize().
  [[nodiscard]] bool resize(void* p, std::size_t bytes) noexcept ABSL_LOCKS_EXCLUDED(lock_);

  /// Bytes that may be used at `p`; 0 when it is no live block. A neighbour that goes writes into the word that says so.
  [[nodiscard]] std::size_t usable_size(const void* p) const noexcept ABSL_LOCKS_EXCLUDED(lock_);

  /// An empty region, no longer this heap's, or null.
  [[nodiscard]] region* take_empty() noexcept ABSL_LOCKS_EXCLUDED(lock_);
  /// The same, but only one that nobody needed for `period`, at `now`, as far as such looks tell.
  [[nodiscard]] region* take_unused(decay_period period, std::uint64_t now) noexcept ABSL_LOCKS_EXCLUDED(lock_);

  struct figures {
    heap_counters heap;
    std::size_t allocations;  ///< so far
  };
  [[nodiscard]] figures count() const noexcept ABSL_LOCKS_EXCLUDED(lock_);
  [[nodiscard]] heap_report check() const noexcept ABSL_LOCKS_EXCLUDED(lock_);
  [[nodiscard]] inline os_error unknown_to_fork() const noexcept { return lock_.unknown_to_fork(); }

 private:
  [[nodiscard]] region* remove_empty() noexcept ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);

  mutable mutex lock_{"of a small heap"};
  boundary_heap heap_ ABSL_GUARDED_BY(lock_);
  std::size_t allocations_ ABSL_GUARDED_BY(lock_) = 0;
  idleness idle_ ABSL_GUARDED_BY(lock_);  ///< of an empty region
};

}  // namespace strata::mem
