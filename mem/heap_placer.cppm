// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <cstdint>

export module strata.mem:heap_placer;

import :block;
import :boundary_heap;
import :placement;

/// Blocks of a boundary_heap at places that follow any rule of :placement, not only at multiples of a power of two.
///
/// Most such places are multiples of 16 too, and the block is like any other; what is in front of it stays free. Where
/// none can be, the block is handed out by an address inside its payload (:placed_block), at 32 bytes' cost or so. Either
/// way it is deallocated, resized and inspected as any block; where it lies is kept while it is not moved, but a resized
/// block may cross a border of its span.
///
/// O(1) but for the arithmetic, O(log span): see the .cc. Nothing throws, allocates or locks; one thread at a time.
export namespace strata::mem {

class heap_placer {
 public:
  explicit inline heap_placer(boundary_heap& heap) noexcept : heap_(heap) {}

  /// Null when there is no such place in any memory, or none was found in what is free.
  [[nodiscard]] void* allocate(const placement::request& wanted) noexcept;

  /// Smallest region that is sure to serve the request wherever it lies, in bytes; 0 when none can.
  [[nodiscard]] std::size_t region_bytes_for(const placement::request& wanted) const noexcept;

  /// Free blocks looked at for one request, at most.
  static constexpr int most_looks = 17;

 private:
  struct plan;
  struct spot {
    std::size_t front;  ///< bytes of the free block that stay in front of the new one
    std::size_t way;    ///< bytes from the new one's payload to the place
    std::size_t size;   ///< bytes of the new block
  };
  [[nodiscard]] bool fits(const plan& wanted, block* b, spot& s) const noexcept;
  [[nodiscard]] void* find(const plan& wanted, std::size_t enough) noexcept;
  [[nodiscard]] void* take(const plan& wanted, block* b, const spot& s) noexcept;
  [[nodiscard]] std::size_t enough_for(const plan& wanted) const noexcept;

  boundary_heap& heap_;
};

}  // namespace strata::mem
