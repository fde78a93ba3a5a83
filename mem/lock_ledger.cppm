// SPDX-License-Identifier: Apache-2.0
module;
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "absl/base/thread_annotations.h"

export module strata.mem:lock_ledger;

import :address_counts;
import :lock_watch;
import :mutex;
import :page_run;

import strata.platform;

/// Which blocks are locked in RAM, for the whole process: the OS locks pages, does not count, and forgets at fork.
///
///     page          page          page          page
///     | … block A … | … block B … | … B … | … B … block C |     a page with the ends of two blocks stays locked until
///             A and B share this one        B and C this one     both are unlocked; a page inside one block is its alone
///
/// So only pages where blocks end are counted, two a block at most. bytes() is what the OS has locked for this ledger,
/// in whole pages: VmLck on Linux, if nobody else in the process locks.
///
/// Any thread; nothing throws; a system call or two. Blocks do not overlap. In a child of fork() nothing is locked any
/// more, and generation() has moved.
export namespace strata::mem {

using platform::expose;
using platform::exposure;
using platform::lock_remedy;
using platform::lock_status;
using platform::lock_time;
using platform::locks;

class lock_ledger {
 public:
  lock_ledger() noexcept;
  ~lock_ledger();
  lock_ledger(const lock_ledger&) = delete;
  lock_ledger& operator=(const lock_ledger&) = delete;

  /// The one of this process; never destroyed.
  [[nodiscard]] static lock_ledger& of_process() noexcept;

  /// Locks the pages of a block. When refused, nothing is locked that was not before.
  [[nodiscard]] os_error lock(const void* block, std::size_t bytes, lock_time when) noexcept;

  /// Unlocks those no other block has an end in. False: the block is not locked here.
  bool unlock(const void* block, std::size_t bytes) noexcept;

  /// Bytes locked now.
  [[nodiscard]] std::size_t bytes() const noexcept { return bytes_.load(std::memory_order_relaxed); }

  /// Bytes the OS refused to unlock: still locked, until they are unmapped. Not in bytes().
  [[nodiscard]] std::size_t refused_bytes() const noexcept { return refused_.load(std::memory_order_relaxed); }

  /// Moves when locks are lost: in a child of fork().
  [[nodiscard]] unsigned generation() const noexcept { return generation_.load(std::memory_order_relaxed); }

 private:
  struct pages {
    std::uintptr_t first;  ///< address
    std::uintptr_t end;
    bool shares_first;  ///< some other block may have an end in it
    bool shares_last;
  };
  [[nodiscard]] static pages pages_of(const void* block, std::size_t bytes) noexcept;

  [[nodiscard]] os_error lock_shared(pages wanted, lock_time when) noexcept ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  [[nodiscard]] pages leave(pages given) noexcept ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  void unlock_pages(const pages& given) noexcept;
  static void in_child(void* ledger) noexcept;

  mutex lock_{lock_rank::pinned_pages,
              "of the ledger of locked pages"};   ///< made when first asked for, after upper layers
  address_counts blocks_ ABSL_GUARDED_BY(lock_);  ///< that are locked
  address_counts ends_ ABSL_GUARDED_BY(lock_);    ///< pages where blocks end, and how many
  std::atomic<std::size_t> bytes_{0};
  std::atomic<std::size_t> refused_{0};
  std::atomic<unsigned> generation_{0};
  platform::fork_hook hook_;
};

}  // namespace strata::mem
