// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <cstdint>

export module strata.pmr:heap_request;

import :ledger;

import strata.mem;

/// What is asked of a heap, in whichever way, and how the blocks there are answer it.
///
/// Nothing throws, allocates or locks; one thread at a time. As the parts of mem that it asks: O(1), grown blocks O(bytes).
namespace strata::pmr {

struct heap_request {
  enum class kind : std::uint8_t { plain, placed, movable, grown };

  kind what = kind::plain;
  std::size_t bytes = 0;
  std::size_t alignment = 1;
  std::ptrdiff_t offset = 0;  ///< of a placed block, and
  std::size_t span = 0;       ///< which it does not cross a multiple of
  void* subject = nullptr;    ///< the owner, or the block that is to grow
  std::size_t old_bytes = 0;  ///< of that

  /// Hands out what is free, or null, and keeps the books.
  [[nodiscard]] void* serve_from(mem::boundary_heap& heap, ledger& books) const noexcept;

  /// Bytes of a region that is sure to serve it; 0 when none can.
  [[nodiscard]] std::size_t region_bytes(mem::boundary_heap& heap) const noexcept;

  /// Why none can.
  [[nodiscard]] const char* why_none() const noexcept;

 private:
  [[nodiscard]] void* grow_in(mem::boundary_heap& heap) const noexcept;
};

}  // namespace strata::pmr
