// SPDX-License-Identifier: Apache-2.0
module;
#include <atomic>
#include <cstddef>

export module strata.pmr:heap_compaction;

import :heap_blocks;
import :heap_options;

import strata.mem;

/// Movable blocks of a heap packed towards the start of their arenas, one after another, and their owners told of each with
/// no lock held; and who wants none moved meanwhile.
///
/// Any thread, one at a time where Threads say so. It happens in a turn (mem:growth): who wants stillness says so first, and
/// then waits for the turn under way, so one that begins later sees it.
namespace strata::pmr {

template <threads Threads>
class heap_compaction {
 public:
  inline heap_compaction(heap_blocks<Threads>& blocks, mem::growth_for<Threads>& turns) noexcept
      : blocks_(blocks), turns_(turns) {}
  heap_compaction(const heap_compaction&) = delete;
  heap_compaction& operator=(const heap_compaction&) = delete;

  /// Returns how many were moved; 0 at once when that would not help, or must not be. What owners throw ends it. Pre: in
  /// the caller's turn. O(blocks).
  std::size_t run();

  /// From here on nothing is moved, until may_move() was called as often.
  void hold_still() noexcept;
  inline void may_move() noexcept { still_.fetch_sub(1, std::memory_order_release); }

 private:
  heap_blocks<Threads>& blocks_;
  mem::growth_for<Threads>& turns_;
  std::atomic<std::size_t> still_{0};  ///< who wants no block moved
};

}  // namespace strata::pmr
