// SPDX-License-Identifier: Apache-2.0
module;
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "absl/base/thread_annotations.h"

export module strata.mem:block_set;

import :address_counts;
import :bytes;
import :mutex;
import :page_run;
import :threads;

/// Which blocks are in, asked about any block: for an owner of few among many that are not.
///
///   outline   how many blocks are in, for each of 1024 hashes of an address: where none is, no lock is taken
///   blocks    their addresses and sizes, behind one lock, in memory from the OS
///
/// Invariant: whoever has a block that is in finds its hash's count above zero, since adding it came before handing it
/// over, and every later change of the count kept it in. So a count of zero is certain, for any thread, without order
/// between them.
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
    if (outline(block).load(std::memory_order_relaxed) == 0) [[likely]] {
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
  using tally = std::atomic<std::uint32_t>;

  static constexpr unsigned outline_bits = 10;

  [[nodiscard]] static inline std::size_t hash(std::uintptr_t block) noexcept {
    const std::uint64_t product = std::uint64_t{block} * 0x9E37'79B9'7F4A'7C15U;  // Fibonacci hashing (Knuth)
    return static_cast<std::size_t>(product >> (64 - outline_bits));
  }
  [[nodiscard]] inline tally& outline(const void* block) noexcept { return outline_[hash(address(block))]; }

  [[nodiscard]] set_answer look_and_take(const void* block, std::size_t bytes) noexcept;

  std::array<tally, std::size_t{1} << outline_bits> outline_{};  ///< changed under the lock
  mutable mutex_for<Threads> lock_;
  address_counts blocks_ ABSL_GUARDED_BY(lock_);  ///< one more than their bytes: a count is never 0
};

}  // namespace strata::mem
