// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "absl/base/thread_annotations.h"

export module strata.mem:owned_blocks;

import :bytes;
import :mutex;
import :threads;

/// Blocks of any size that are live, so that their owner can give them back when it ends.
///
///   | … owned_block | payload …… |      the record lies in front; its end and the payload are aligned as asked
///
/// The record knows the size, so one that comes back with another is noticed; and it is sealed with its own address and
/// its owner's, so one that is not live here is noticed too, as long as what lies in front of it can be read. Any
/// thread, or with threads::one one at a time, without a lock; nothing throws or allocates; O(1).
export namespace strata::mem {

struct owned_block {
  owned_block* next;
  owned_block* prev;
  void* base;             ///< of the whole block
  std::size_t bytes;      ///< of the whole block
  std::size_t payload;    ///< bytes as asked for
  std::size_t alignment;  ///< of the whole block
  std::uintptr_t seal;    ///< what says that this is such a record, and whose
};

enum class owned_fault : std::uint8_t {
  none,
  not_live,    ///< no live block of this owner
  other_size,  ///< live, but not of that size
};

[[nodiscard]] const char* describe(owned_fault fault) noexcept;

template <threads Threads>
class owned_blocks {
 public:
  /// Bytes of the whole block for a request, or 0 when no block can be so large.
  [[nodiscard]] static inline constexpr std::size_t whole(std::size_t bytes, std::size_t alignment) noexcept {
    std::size_t size = 0;
    const bool fits = alignment <= max_object / 2 && checked_add(bytes, head(alignment), size) && size < max_object;
    return fits ? std::max(size, head(alignment) + 1) : 0;  // a byte, for an address of its own
  }
  /// Alignment of the whole block for a request.
  [[nodiscard]] static inline constexpr std::size_t whole_alignment(std::size_t alignment) noexcept {
    return std::max(alignment, alignof(owned_block));
  }

  /// Records fresh memory for a request as live; returns the payload.
  [[nodiscard]] void* add(void* base, std::size_t bytes, std::size_t alignment) noexcept;

  /// Forgets a live block; `gone` is then its record. A fault changes nothing.
  [[nodiscard]] owned_fault remove(void* payload, std::size_t bytes, owned_block*& gone) noexcept;

  /// Forgets all blocks and returns them, linked by next.
  [[nodiscard]] owned_block* clear() noexcept;

  /// Bytes of all whole blocks.
  [[nodiscard]] std::size_t bytes() const noexcept;

 private:
  [[nodiscard]] static inline constexpr std::size_t head(std::size_t alignment) noexcept {
    return round_up(sizeof(owned_block), whole_alignment(alignment));
  }

  [[nodiscard]] std::uintptr_t seal_of(const owned_block* b) const noexcept;

  mutable mutex_for<Threads> lock_{"of owned blocks"};
  owned_block* live_ ABSL_GUARDED_BY(lock_) = nullptr;
  std::size_t bytes_ ABSL_GUARDED_BY(lock_) = 0;
};

}  // namespace strata::mem
