// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <cstdint>

export module strata.mem:heap_mover;

import :block;
import :boundary_heap;
import :placed_block;

/// Blocks of a boundary_heap that change their address: those that grow into free memory below them, and movable ones,
/// which a compaction packs towards the start of their region.
///
/// A movable block keeps 16 bytes at its end: an owner, for whoever gives notice of moves, the bytes asked for, and its
/// alignment, which moves keep. Blocks that are not movable stay where they are, and none leaves its region.
///
/// A compaction is taken a step at a time, one move each, and the heap is whole between steps: notice of a move can be
/// given without any lock, and meanwhile anything may be allocated, deallocated, added and removed.
///
/// grow() O(bytes); step() O(bytes + most_visits); all else as in the heap. Nothing throws, allocates or locks; one
/// thread at a time.
export namespace strata::mem {

// A heap's words may lie in hidden memory (:inspector), where none but the heap looks.
#pragma clang attribute push(__attribute__((no_sanitize("address"))), apply_to = function)

/// A movable block that has just been moved. What was there is at `to`, and `from` is not to be read any more.
struct heap_move {
  void* from = nullptr;
  void* to = nullptr;
  std::size_t bytes = 0;  ///< as asked for
  void* owner = nullptr;  ///< as given to allocate() or set_owner()
};

enum class heap_step : std::uint8_t {
  moved,   ///< one block
  looked,  ///< at most_visits blocks, to no avail; there are more
  done,    ///< the last region is packed
};

class heap_mover {
 public:
  /// Blocks a step looks at, at most.
  static constexpr int most_visits = 1024;

  explicit inline heap_mover(boundary_heap& heap) noexcept : heap_(heap) {}

  /// As boundary_heap::allocate(), a block that may be moved.
  [[nodiscard]] void* allocate(std::size_t bytes, std::size_t alignment, void* owner) noexcept;

  /// Pre: `p` is a movable block.
  inline void set_owner(void* p, void* owner) noexcept { block::of(p)->note()->owner = owner; }
  /// Bytes of a movable block that are not its caller's.
  static constexpr std::size_t own_bytes = sizeof(block::owner_note);

  /// Pre: `p` is a used block.
  [[nodiscard]] static inline bool is_movable(const void* p) noexcept { return block_at(p)->is_movable(); }
  /// Of which moves keep it a multiple. Pre: `p` is a movable block.
  [[nodiscard]] static inline std::size_t alignment(const void* p) noexcept {
    return std::size_t{1} << (block::of(p)->note()->asked >> block::log_shift);
  }
  [[nodiscard]] static inline void* owner(const void* p) noexcept { return block::of(p)->note()->owner; }

  /// Makes the block at `p` hold `bytes`: where it is, with what is free above it, with what is free below, or with both,
  /// whichever does first (S2-34). Returns where it is now, a multiple of `alignment` if `p` was, its contents kept up to
  /// the smaller size; or null, nothing changed. Who moves a movable block gives notice of it himself; a placed block stays
  /// where it is. Pre: `p` is a used block.
  [[nodiscard]] void* grow(void* p, std::size_t bytes, std::size_t alignment) noexcept;

  /// Whether a compaction could move anything that the last one, if it was brought to its end, could not: no block has
  /// become free since.
  [[nodiscard]] inline bool worthwhile() const noexcept {
    return heap_.loosened_ || heap_.kept_.count() != 0 || heap_.cursor_ != nullptr;
  }

  /// Starts a compaction at the lowest region. One that is under way is given up.
  void start() noexcept;

  /// Goes on with it. Pre: started; a step after the last is done, too.
  heap_step step(heap_move& move) noexcept;

 private:
  [[nodiscard]] static block* target(block* gap, std::size_t alignment) noexcept;
  block* slide(block* gap, block* b, block* to, std::size_t contents) noexcept;

  boundary_heap& heap_;
};

#pragma clang attribute pop

}  // namespace strata::mem
