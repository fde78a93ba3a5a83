// SPDX-License-Identifier: Apache-2.0
module;
#include <atomic>
#include <cstddef>

module strata.pmr:heap_compaction.impl;

import :heap_blocks;
import :heap_compaction;
import :heap_options;

import strata.mem;

namespace strata::pmr {

template <threads Threads>
std::size_t heap_compaction<Threads>::run() {
  if (still_.load(std::memory_order_acquire) != 0 || !blocks_.start_moving()) return 0;
  struct under_way {
    heap_blocks<Threads>& blocks;
    ~under_way() { blocks.end_moving(); }
  } const until_the_end{blocks_};
  std::size_t moved = 0;
  mem::heap_move move;
  for (mem::heap_step step = blocks_.move_one(move); step != mem::heap_step::done; step = blocks_.move_one(move)) {
    if (step != mem::heap_step::moved) continue;
    ++moved;
    mem::expect_no_lock_held("the owner of a block that was moved");
    static_cast<block_owner*>(move.owner)->moved(move.from, move.to);
  }
  return moved;
}

template <threads Threads>
void heap_compaction<Threads>::hold_still() noexcept {
  still_.fetch_add(1, std::memory_order_acq_rel);
  if (turns_.is_mine()) return;
  mem::take_turn(turns_);  // after a compaction that is under way
  turns_.end(true);
}

template class heap_compaction<threads::one>;
template class heap_compaction<threads::any>;

}  // namespace strata::pmr
