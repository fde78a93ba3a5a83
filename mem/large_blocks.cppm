// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <cstdint>

#include "absl/base/thread_annotations.h"

export module strata.mem:large_blocks;

import :bytes;
import :decay;
import :mutex;
import :threads;

/// Blocks too large for a slab: which are live, and a few freed last that are kept at hand for a request of the same
/// size and alignment.
///
///   | payload …………………………… | large_block |      a multiple of 4 KiB, so that nearly equal ones serve one another
///
/// The record lies at a block's end, where the size that comes back with a deallocation finds it. Nothing throws or
/// allocates; O(1).
export namespace strata::mem {

struct large_block {
  large_block* next;
  large_block* prev;
  void* base;
  std::size_t bytes;  ///< of the whole block
  std::size_t alignment;
};

template <threads Threads>
class large_blocks {
 public:
  static constexpr std::size_t quantum = 4096;

  explicit large_blocks(decay_period period = decay_period(no_decay)) noexcept : decay_(period) {}

  /// Blocks kept at most, and looked at when one is wanted.
  static constexpr std::size_t places = 16;

  /// Bytes of the whole block for a request, or 0 when no block can be so large.
  [[nodiscard]] static inline constexpr std::size_t whole(std::size_t bytes) noexcept {
    std::size_t size = 0;
    const bool fits = checked_add(bytes, sizeof(large_block), size) && checked_round_up(size, quantum, size);
    return fits && size <= max_object ? size : 0;
  }

  /// A kept block of this size and alignment, live from now on, or null.
  [[nodiscard]] void* reuse(std::size_t bytes, std::size_t alignment) noexcept;

  /// Records fresh memory as live.
  void add(void* base, std::size_t bytes, std::size_t alignment) noexcept;

  /// Keeps a live block that is free now. What has to go for it comes out of evict().
  void keep(void* base, std::size_t bytes) noexcept;

  /// Forgets the block kept longest, if more than `limit` bytes or more than `places` are kept, and returns it, or
  /// null.
  [[nodiscard]] large_block* evict(std::size_t limit) noexcept;

  /// Bytes of kept blocks that were not used for the decay, at `now`: evict_unused() as long as there are some.
  [[nodiscard]] std::size_t look(std::uint64_t now) noexcept;
  /// Forgets the block kept longest, if it has at most `bytes`, which then are less by so many, and returns it, or null.
  [[nodiscard]] large_block* evict_unused(std::size_t& bytes) noexcept;

  /// Forgets all blocks, live and kept, and returns them, linked by next.
  [[nodiscard]] large_block* clear() noexcept;

  struct figures {
    std::size_t live = 0;  ///< bytes of whole blocks
    std::size_t kept = 0;
  };
  [[nodiscard]] figures count() const noexcept;

 private:
  [[nodiscard]] static large_block* record_of(void* base, std::size_t bytes) noexcept {
    return at<large_block>(base, static_cast<std::ptrdiff_t>(bytes - sizeof(large_block)));
  }

  [[nodiscard]] large_block* evict_oldest() noexcept ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);

  mutable mutex_for<Threads> lock_{"of large blocks"};
  large_block* live_ ABSL_GUARDED_BY(lock_) = nullptr;
  large_block* kept_ ABSL_GUARDED_BY(lock_) = nullptr;    ///< newest first
  large_block* oldest_ ABSL_GUARDED_BY(lock_) = nullptr;  ///< last of kept_
  std::size_t count_ ABSL_GUARDED_BY(lock_) = 0;          ///< of kept_
  figures bytes_ ABSL_GUARDED_BY(lock_);
  std::size_t low_ ABSL_GUARDED_BY(lock_) = 0;  ///< least of bytes_.kept since the last look
  decay decay_ ABSL_GUARDED_BY(lock_);
};

}  // namespace strata::mem
