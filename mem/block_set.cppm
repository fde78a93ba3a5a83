// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <cstdint>

#include "absl/base/thread_annotations.h"

export module strata.mem:block_set;

import :address_counts;
import :address_outline;
import :bytes;
import :mutex;
import :page_run;
import :threads;

/// Which blocks are in, asked about any block: for an owner of few among many that are not.
///
///   outline   where it says that a block is not in, no lock is taken
///   blocks    their addresses and sizes, behind one lock, in memory from the OS
///
/// Any thread, or with threads::one one at a time, without a lock. A fork leaves the lock free. Nothing throws; only
/// prepare() and add() take memory; O(1) expected.
export namespace strata::mem {

enum class set_answer : std::uint8_t {
  absent,
  taken,       ///< was in, and is out now
  other_size,  ///< is in, but not of that size; nothing has changed
};

template <threads Threads>
class block_set {
 public:
  /// Makes room for so many more blocks, or says why not: then nothing has changed.
  [[nodiscard]] os_error prepare(std::size_t more) noexcept;

  /// Puts a block in, or says why not: then nothing has changed. Pre: it is not in; smaller than max_object.
  [[nodiscard]] os_error add(const void* block, std::size_t bytes) noexcept;

  /// Takes a block out, if it is in.
  [[nodiscard]] inline set_answer take(const void* block, std::size_t bytes) noexcept {
    if (!outline_.may_hold(address(block))) [[likely]] {
      return set_answer::absent;
    }
    return look_and_take(block, bytes);
  }

  [[nodiscard]] std::size_t size() const noexcept;

  /// What contradicts what, or null. O(blocks), under the lock.
  [[nodiscard]] const char* check() const noexcept;

  /// Why the lock is not known to fork(), if it is not.
  [[nodiscard]] inline os_error unknown_to_fork() const noexcept { return lock_.unknown_to_fork(); }

 private:
  [[nodiscard]] set_answer look_and_take(const void* block, std::size_t bytes) noexcept;

  address_outline outline_;  ///< changed under the lock
  mutable mutex_for<Threads> lock_{"of a set of blocks"};
  address_counts blocks_ ABSL_GUARDED_BY(lock_);  ///< one more than their bytes: a count is never 0
};

}  // namespace strata::mem
