// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <cstddef>

export module strata.pmr:heap_options;

import :misuse;

import strata.mem;

/// What a heap_resource can be told, and whom it tells what.
export namespace strata::pmr {

using mem::threads;

/// A piece of memory that a heap has from upstream.
struct arena {
  const void* start;
  std::size_t bytes;
};

/// Is asked whether two arenas that touch may become one; it is given back upstream in one piece, then, as if it had
/// been allocated so. Called with no lock held. It must not throw.
using arena_merge = bool (*)(void* argument, const arena& lower, const arena& upper);

/// Is told of misuse and of damage instead of the process' misuse handler. Called with no lock held; may throw, which
/// reaches whoever called the heap.
using heap_panic = void (*)(void* argument, const misuse& what);

/// Owner of a movable block.
class block_owner {
 public:
  virtual ~block_owner() = default;

  /// The block that was at `from` is at `to` now, its contents too; `from` is not to be read. Once for each move, with no
  /// lock held: the heap may be used meanwhile, but a request that needs another arena fails if threads share the heap.
  /// What is thrown ends the compaction, and reaches whoever asked for it.
  virtual void moved(void* from, void* to) = 0;

 protected:
  block_owner() = default;
  block_owner(const block_owner&) = default;
  block_owner& operator=(const block_owner&) = default;
};

template <class Upstream, threads Threads>
class heap_resource;

/// A heap_resource in a stack.
template <threads Threads>
struct heap_options {
  template <class Upstream>
  using layer_over = heap_resource<Upstream, Threads>;

  const char* name = "heap";                      ///< in reports and errors; outlives the layer
  std::size_t min_arena = std::size_t{64} << 10;  ///< bytes; least asked of upstream at a time
  std::size_t max_arena = std::size_t{32} << 20;  ///< bytes; arenas grow with the heap, an eighth of it at a time, up
                                                  ///< to this
  std::size_t max_bytes = mem::max_object;        ///< bytes; most held from upstream, arena headers included
  std::size_t keep_empty = std::size_t{1} << 20;  ///< bytes; empty arenas kept back from upstream (see hysteresis)
  std::size_t decay_ms = mem::no_decay;  ///< after which an empty arena that was not used goes back upstream, and
                                         ///< what waits is joined if the heap was not used at all; 0: at once.
                                         ///< Where nobody calls any more, only tick() sees it
  std::size_t quantum = 16;              ///< bytes; block sizes are multiples of it; a power of two, at least 16
  std::size_t min_block = 32;            ///< bytes; smallest block, its header included; at least 32
  std::size_t keep_freed = 1024;         ///< bytes; freed blocks up to this may wait for a request of their
                                         ///< size before they are joined with their neighbours; at most 1024,
                                         ///< 0: none
  bool checks = false;                   ///< small blocks are looked at when they are deallocated, not up to
                                         ///< four deallocations later, when they have come into the cache: a
                                         ///< second deallocation and a foreign pointer are told at once
  bool live_at_end_is_misuse = false;    ///< report blocks that are alive at destruction
  arena_merge merge = nullptr;           ///< null: arenas stay apart
  heap_panic panic = nullptr;            ///< null: the process' misuse handler
  void* argument = nullptr;              ///< for merge and panic

  /// Bytes of empty arenas that may be kept when `held` are held.
  [[nodiscard]] inline std::size_t may_keep(std::size_t held) const noexcept { return std::max(keep_empty, held / 8); }

  /// Whether an arena of `needed` bytes may be added to `held`.
  [[nodiscard]] inline bool may_hold(std::size_t held, std::size_t needed) const noexcept {
    return needed <= max_bytes - std::min(held, max_bytes);
  }

  /// Bytes to ask for when `needed` are missing and `held` are there. Pre: may_hold(held, needed).
  [[nodiscard]] inline std::size_t next_arena(std::size_t held, std::size_t needed) const noexcept {
    // An eighth of what is held, so that a growing heap asks ever more rarely; whole pages, so that a source has nothing
    // to round.
    const std::size_t ahead = std::max(min_arena, std::min(held / 8, max_arena));
    const std::size_t wanted = mem::round_up(std::max(needed, ahead), mem::page_bytes());
    return std::max(needed, std::min(wanted, mem::round_down(max_bytes - held, mem::block::unit)));
  }
};

/// For one thread at a time.
using heap = heap_options<threads::one>;
/// For any thread: the same behind a lock.
using shared_heap = heap_options<threads::any>;

}  // namespace strata::pmr
