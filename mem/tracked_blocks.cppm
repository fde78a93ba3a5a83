// SPDX-License-Identifier: Apache-2.0
module;
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "absl/base/thread_annotations.h"

export module strata.mem:tracked_blocks;

import :address_counts;
import :address_sieve;
import :block_book;
import :bytes;
import :mutex;
import :page_run;
import :sampling_meter;
import :stack_table;
import :threads;
import :usage_scopes;

/// Which blocks are live and who asked for them, added up by call stack: for every block, or for a sample of them.
///
///   sieve    where it says that a block is not known, no lock is taken (nothing is not known when it knows all)
///   book     the blocks, by address
///   places   what came from each call stack and what of it is live
///   stacks   the call stacks, by number
///
/// A block weighs what it stands for (sample_weight), which follows from its size: what is added when it comes is taken
/// away when it goes, to the last bit.
///
/// The owner calls in the only order that is right while others get and return memory: what it gets from upstream it
/// admits, and what it returns to upstream it has taken out before.
///
/// All of it lies in memory from the OS. Any thread, or with threads::one one at a time, without a lock; a fork leaves
/// the lock free. Nothing throws; only admit() takes memory; O(1) expected.
export namespace strata::mem {

struct tracking_plan {
  std::size_t mean = 0;                             ///< bytes from sample to sample; 0 or 1: every block comes here
  std::size_t stack_bytes = std::size_t{16} << 20;  ///< most memory for call stacks
};

/// What came from one call stack. In 1024ths: see sample_weight.
struct tracked_place {
  std::uint32_t stack = stack_table::none;
  sample_weight all{0, 0};   ///< all that ever came
  sample_weight live{0, 0};  ///< what of it is live
};

enum class tracked_fault : std::uint8_t {
  none,
  absent,            ///< no block that is known begins there
  other_size,        ///< known, but not of that size
  other_alignment,   ///< known, but not of that alignment
  handed_out_twice,  ///< a block that is live came once more
  no_memory,         ///< to know it by
};

[[nodiscard]] const char* describe(tracked_fault fault) noexcept;

template <threads Threads>
class tracked_blocks {
 public:
  explicit tracked_blocks(const tracking_plan& plan) noexcept;
  ~tracked_blocks();
  tracked_blocks(const tracked_blocks&) = delete;
  tracked_blocks& operator=(const tracked_blocks&) = delete;

  [[nodiscard]] inline std::size_t mean() const noexcept { return plan_.mean; }
  [[nodiscard]] inline bool knows_all() const noexcept { return plan_.mean <= 1; }

  /// False: no block that is known begins there, and that is no fault.
  [[nodiscard]] inline bool may_know(const void* p) const noexcept { return sieve_.may_hold(address(p)); }

  struct answer {
    tracked_fault fault = tracked_fault::none;
    std::size_t bytes = 0;      ///< of the block that is known
    std::size_t alignment = 0;  ///< likewise
    std::uint32_t stack = 0;    ///< who asked for it
    std::uint32_t thread = 0;   ///< likewise
    os_error error{};           ///< with no_memory, if the OS refused
  };
  /// A block came. A fault changes nothing.
  [[nodiscard]] answer admit(const void* block, std::size_t bytes, std::size_t alignment, std::uint32_t thread,
                             stack_table::stack from) noexcept;
  /// A block is about to go. A fault changes nothing.
  [[nodiscard]] answer take(const void* block, std::size_t bytes, std::size_t alignment) noexcept;
  /// All blocks are void.
  void forget_all() noexcept;

  // What was counted, where every block comes here; of a sample the owner brings its own counts.
  [[nodiscard]] metered count() const noexcept;
  [[nodiscard]] std::size_t peak() const noexcept;
  void note(std::size_t live) noexcept;
  /// False: there are too many.
  [[nodiscard]] bool push(const metered* brought) noexcept;
  /// False: there is none.
  [[nodiscard]] bool pop(const metered* brought, scope_usage& out) noexcept;

  /// Places by number, 0 … extent() - 1; there are never fewer.
  [[nodiscard]] std::size_t extent() const noexcept;
  [[nodiscard]] tracked_place place(std::size_t number) const noexcept;
  [[nodiscard]] stack_table::stack stack(std::uint32_t number) const noexcept { return stacks_.look_up(number); }

  /// Blocks that are known.
  [[nodiscard]] std::size_t size() const noexcept;
  /// Stacks for which there was no room: what came from there has none.
  [[nodiscard]] std::size_t stacks_refused() const noexcept { return stacks_.refused(); }

  /// What contradicts what, or null. O(blocks), under the lock.
  [[nodiscard]] const char* check() const noexcept;

  /// Why a lock is not known to fork(), if it is not.
  [[nodiscard]] inline os_error unknown_to_fork() const noexcept { return lock_.unknown_to_fork(); }

 private:
  static constexpr std::size_t first_chunk = 256;  ///< places; each chunk has twice as many as the one before

  [[nodiscard]] tracked_place* at(std::size_t number) const noexcept ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  // The number of a stack's place; extent_ when there is no memory for it.
  [[nodiscard]] std::size_t place_of(std::uint32_t stack, os_error& refused) noexcept
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  void add_to_sieve(std::uintptr_t block) noexcept ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);

  const tracking_plan plan_;
  stack_table stacks_;
  address_sieve sieve_;  ///< changed under the lock
  mutable mutex_for<Threads> lock_;
  block_book book_ ABSL_GUARDED_BY(lock_);
  address_counts by_stack_ ABSL_GUARDED_BY(lock_);  ///< of a stack's number and one, the number of its place and one
  std::array<page_run, 32> chunks_ ABSL_GUARDED_BY(lock_){};
  std::size_t chunk_count_ ABSL_GUARDED_BY(lock_) = 0;
  std::size_t extent_ ABSL_GUARDED_BY(lock_) = 0;
  metered counts_ ABSL_GUARDED_BY(lock_);
  usage_scopes scopes_ ABSL_GUARDED_BY(lock_);
};

}  // namespace strata::mem
