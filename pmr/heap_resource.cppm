// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <cstddef>
#include <memory_resource>

#include "absl/functional/function_ref.h"

export module strata.pmr:heap_resource;

import :allocation_error;
import :layer;
import :ledger;
import :misuse;
import :report;

import strata.mem;

/// A general heap: blocks of any size and alignment out of arenas from upstream, neighbours joined when freed.
///
/// Role           keeper: takes arenas, hands out blocks, keeps what is freed
/// Upstream       borrowed, never null, outlives this object
/// Owns           its arenas, until trim(), release() or destruction
/// Thread safety  one thread at a time; put synchronized{} above it to share
/// Alignment      any power of two up to 2^45
/// Size           up to 2^45 bytes; zero takes a smallest block
/// Complexity     O(1), whatever the sequence of sizes; check() and walk() O(blocks)
/// Overhead       8 bytes a block, rounding to the quantum (16), 32 bytes an arena
/// Throws         what upstream throws, or allocation_error for what cannot be and beyond max_bytes; nothing has
///                changed
/// Deallocate     noexcept; size and alignment as allocated. A block that is free already and a pointer that was never
///                handed out are misuse
/// Equality       identity
/// Fork           the child has a private copy; both sides go on
/// Exit           destruction gives every arena back, live blocks or not; live_at_end says whether those are misuse
/// Signals        not for signal handlers
/// Composes       above a source or an adaptor; below synchronized{}
///
/// Hysteresis: an arena that has just become empty is kept while empty arenas together hold at most `keep_empty` bytes
/// or an eighth of what the heap holds, whichever is more, and goes back upstream at once otherwise. So a load that
/// empties and refills the same arenas asks upstream nothing, and a heap that shrinks for good keeps little.
export namespace strata::pmr {

template <class Upstream>
class heap_resource;

/// A heap_resource in a stack.
struct heap {
  template <class Upstream>
  using layer_over = heap_resource<Upstream>;

  const char* name = "heap";                      ///< in reports and errors; outlives the layer
  std::size_t min_arena = std::size_t{64} << 10;  ///< bytes; least asked of upstream at a time
  std::size_t max_arena = std::size_t{32}
                          << 20;            ///< bytes; arenas grow with the heap, an eighth of it at a time, up to this
  std::size_t max_bytes = mem::max_object;  ///< bytes; most held from upstream, arena headers included
  std::size_t keep_empty = std::size_t{1} << 20;  ///< bytes; empty arenas kept back from upstream (see hysteresis)
  std::size_t quantum = 16;            ///< bytes; block sizes are multiples of it; a power of two, at least 16
  std::size_t min_block = 32;          ///< bytes; smallest block, its header included; at least 32
  std::size_t keep_freed = 1024;       ///< bytes; freed blocks up to this may wait for a request of their size before
                                       ///< they are joined with their neighbours; 0: none, at most 1024
  bool live_at_end_is_misuse = false;  ///< report blocks that are alive at destruction

  /// Bytes of empty arenas that may be kept when `held` are held.
  [[nodiscard]] inline std::size_t may_keep(std::size_t held) const noexcept { return std::max(keep_empty, held / 8); }

  /// Why an arena of `needed` bytes may not be added to `held`, or null. `needed` is 0 when no arena would do.
  [[nodiscard]] const char* refusal(std::size_t held, std::size_t needed) const noexcept;

  /// Bytes to ask for when `needed` are missing and `held` are there. Pre: not refused.
  [[nodiscard]] std::size_t next_arena(std::size_t held, std::size_t needed) const noexcept;
};

template <class Upstream = std::pmr::memory_resource>
class heap_resource final : public direct_layer<heap_resource<Upstream>> {
  using base = direct_layer<heap_resource<Upstream>>;

 public:
  using upstream_type = Upstream;
  static constexpr bool thread_safe = false;
  static constexpr std::size_t max_alignment = mem::boundary_heap::max_bytes;
  static constexpr bool zeroed = false;
  static constexpr bool can_release = true;

  explicit heap_resource(Upstream* upstream, heap options = {}) noexcept
      : base(options.name, upstream),
        upstream_(upstream),
        options_(options),
        heap_({.quantum = options.quantum, .min_block = options.min_block, .keep = options.keep_freed}) {}

  ~heap_resource() override {
    if (options_.live_at_end_is_misuse && ledger_.blocks() != 0) {
      report_misuse({.layer = this->name(), .sentence = "destroyed with live blocks: their arenas are gone"});
    }
    release();
  }

  [[nodiscard]] statistics stats() const noexcept override;

  /// This heap, block by block, then what is below.
  [[nodiscard]] fault check() const noexcept override;

  /// Shows every block, handed out or kept, in address order within each arena. The visitor must not use this heap.
  void walk(absl::FunctionRef<void(const mem::heap_block&)> visitor) const { heap_.walk(visitor); }

  /// Bytes that may be used at `p`, at least what was asked for. Pre: `p` is a live block of this heap.
  [[nodiscard]] std::size_t usable_size(const void* p) const noexcept { return mem::boundary_heap::usable_size(p); }

  /// Makes the block at `p` hold `bytes` instead of `old_bytes` without moving it; false, nothing changed, when that
  /// cannot be done. It is then deallocated with the new size. Pre: `p` is a live block of this heap.
  [[nodiscard]] bool try_resize(void* p, std::size_t old_bytes, std::size_t bytes) noexcept;

  /// Gives every empty arena back upstream. Returns the bytes given back.
  std::size_t trim() noexcept;

  /// Gives every arena back upstream; all blocks are void.
  void release() noexcept;

 private:
  friend base;

  // An arena starts as aligned as any object; asking for pages is upstream's affair.
  static constexpr std::size_t arena_alignment = alignof(std::max_align_t);

  [[nodiscard]] inline void* do_allocate(std::size_t bytes, std::size_t alignment) override {
    void* p = heap_.allocate(bytes, alignment);
    if (p == nullptr) [[unlikely]] {
      p = allocate_from_new_arena(bytes, alignment);
    }
    ledger_.handed_out(bytes);
    return p;
  }

  inline void do_deallocate(void* p, std::size_t bytes, std::size_t alignment) override {
    const auto [fault, emptied] = heap_.deallocate(p, bytes);
    if (fault != mem::heap_fault::none) [[unlikely]] {
      return report_misuse({this->name(), mem::describe(fault), p, bytes, alignment});
    }
    ledger_.taken_back(bytes);
    if (emptied != nullptr) [[unlikely]] {
      give_back_excess();
    }
  }

  [[nodiscard]] void* allocate_from_new_arena(std::size_t bytes, std::size_t alignment);
  void give_back_excess() noexcept;
  void give_back(mem::region* arena) noexcept;

  Upstream* const upstream_;
  const heap options_;
  mem::boundary_heap heap_;  ///< its regions are the arenas, each taken from upstream with its size and arena_alignment
  ledger ledger_;
};

template <class Upstream>
heap_resource(Upstream*) -> heap_resource<Upstream>;
template <class Upstream>
heap_resource(Upstream*, heap) -> heap_resource<Upstream>;

template <class Upstream>
statistics heap_resource<Upstream>::stats() const noexcept {
  const mem::heap_counters& c = heap_.counters();
  statistics figures = ledger_.figures();
  figures.upstream = c.regions;
  figures.kept = c.free + c.kept;
  figures.overhead = c.used - figures.live + c.fences;
  return figures;
}

template <class Upstream>
fault heap_resource<Upstream>::check() const noexcept {
  const mem::heap_report report = heap_.check();
  if (report.fault != mem::heap_fault::none) return {mem::describe(report.fault), report.where};
  if (heap_.counters().used_blocks != ledger_.blocks()) return {"blocks handed out and blocks in use differ", nullptr};
  return base::check();
}

template <class Upstream>
bool heap_resource<Upstream>::try_resize(void* p, std::size_t old_bytes, std::size_t bytes) noexcept {
  if (!heap_.resize(p, bytes)) return false;
  ledger_.resized(old_bytes, bytes);
  return true;
}

template <class Upstream>
void heap_resource<Upstream>::release() noexcept {
  ledger_.released();
  for (mem::region* r = heap_.clear(); r != nullptr;) {
    mem::region* const next = r->next;  // read before the arena is gone
    upstream_->deallocate(r, r->bytes, arena_alignment);
    r = next;
  }
}

template <class Upstream>
void* heap_resource<Upstream>::allocate_from_new_arena(std::size_t bytes, std::size_t alignment) {
  const std::size_t needed = heap_.region_bytes_for(bytes, alignment);
  if (const char* const refusal = options_.refusal(heap_.counters().regions, needed); refusal != nullptr) {
    ledger_.failed();
    throw allocation_error(this->name(), bytes, alignment, refusal);
  }
  // What is asked for ahead may be too much where this request alone is not: then that.
  for (std::size_t arena = options_.next_arena(heap_.counters().regions, needed);; arena = needed) {
    try {
      heap_.add(upstream_->allocate(arena, arena_alignment), arena);
      return heap_.allocate(bytes, alignment);
    } catch (...) {
      if (arena != needed) continue;
      ledger_.failed();
      throw;
    }
  }
}

template <class Upstream>
std::size_t heap_resource<Upstream>::trim() noexcept {
  const std::size_t held = heap_.counters().regions;
  heap_.join_kept();
  while (mem::region* const arena = heap_.empty_region()) give_back(arena);
  return held - heap_.counters().regions;
}

template <class Upstream>
void heap_resource<Upstream>::give_back_excess() noexcept {
  while (heap_.counters().empty > options_.may_keep(heap_.counters().regions)) give_back(heap_.empty_region());
}

template <class Upstream>
void heap_resource<Upstream>::give_back(mem::region* arena) noexcept {
  const std::size_t bytes = arena->bytes;
  heap_.remove(arena);
  upstream_->deallocate(arena, bytes, arena_alignment);
}

static_assert(layered<heap_resource<>>);

}  // namespace strata::pmr
