// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <atomic>
#include <cstddef>
#include <memory_resource>

export module strata.pmr:slab_resource;

import :allocation_error;
import :layer;
import :ledger;
import :misuse;
import :report;

import strata.mem;

/// Small blocks at the price of a few instructions, for any thread: slabs by size class, with a cache for each thread.
///
/// Role           keeper: takes spans of 2 MiB, hands out blocks up to 64 KiB; larger ones come from upstream, a few
///                recent ones are kept
/// Upstream       borrowed, never null, outlives this object; called from any thread, outside every lock, so it is
///                thread safe itself
/// Owns           its spans and kept large blocks, until trim(), release() or destruction
/// Thread safety  every member from any thread, but release() and destruction, while which no other call is under way
/// Alignment      any power of two up to 64 KiB; above, what upstream honours
/// Size           any; zero takes a smallest block
/// Complexity     O(1): a table, a pop or a push; once in half a magazine one lock and a batch
/// Overhead       below 256 bytes at most 15 bytes a block, above at most an eighth; 3 % for heads; a cache of 32 KiB
///                for each thread
/// Throws         what upstream throws, or allocation_error for sizes no machine has; nothing has changed
/// Deallocate     noexcept; size and alignment as allocated, else undefined. A second deallocation is noticed when the
///                block returns to its slab
/// Equality       identity
/// Fork           the child can allocate and deallocate at once; blocks in caches of threads it does not have stay
///                unused
/// Exit           destruction gives everything back, live blocks or not; threads that live on keep nothing of it
/// Signals        not for signal handlers
/// Composes       above pages{} or another thread-safe layer
///
/// Hysteresis: a slab without live blocks goes back to its span at once, but the last one of its class; a span without
/// slabs is kept while such spans together hold at most `keep_empty` bytes or an eighth of all, and goes back upstream
/// otherwise. Large blocks are kept while they hold at most `keep_large` bytes.
export namespace strata::pmr {

template <class Upstream>
class slab_resource;

/// A slab_resource in a stack.
struct slabs {
  template <class Upstream>
  using layer_over = slab_resource<Upstream>;

  const char* name = "slabs";                     ///< in reports and errors; outlives the layer
  std::size_t keep_empty = std::size_t{4} << 20;  ///< bytes; spans without slabs kept back from upstream
  std::size_t keep_large = std::size_t{4} << 20;  ///< bytes; large blocks kept back from upstream
};

template <class Upstream = std::pmr::memory_resource>
class slab_resource final : public direct_layer<slab_resource<Upstream>> {
  using base = direct_layer<slab_resource<Upstream>>;

 public:
  using upstream_type = Upstream;
  static constexpr bool thread_safe = true;
  static constexpr std::size_t max_alignment = max_alignment_of<Upstream>;
  static constexpr bool zeroed = false;
  static constexpr bool can_release = true;

  static_assert(is_thread_safe_or_unknown<Upstream>,
                "strata::pmr::slab_resource: any thread may ask upstream; put synchronized{} between");

  explicit slab_resource(Upstream* upstream, slabs options = {}) noexcept
      : base(options.name, upstream), upstream_(upstream), options_(options) {}

  ~slab_resource() override { release(); }

  /// Figures of all threads. What rounding to classes costs counts as kept: it is not known by block. `peak` is looked at when a span is added
  /// and when figures are asked for, so it may be low by what came and went within the spans there were.
  [[nodiscard]] statistics stats() const noexcept override;

  [[nodiscard]] fault check() const noexcept override;

  /// Gives back what the calling thread's cache, empty slabs, spans and kept large blocks hold. Returns the bytes given
  /// back upstream.
  std::size_t trim() noexcept;

  /// Gives everything back upstream; all blocks are void.
  void release() noexcept;

 private:
  friend base;

  [[nodiscard]] inline void* do_allocate(std::size_t bytes, std::size_t alignment) override {
    std::size_t size = bytes;
    if (alignment > mem::size_class::quantum) [[unlikely]] {
      size = size_in_slabs(bytes, alignment);
    }
    if (size > mem::size_class::largest) [[unlikely]] {
      return allocate_large(bytes, alignment);
    }
    const std::size_t c = mem::size_class::of(size);
    void* const block = slabs_.allocate(c, bytes);
    return block != nullptr ? block : refill(c, bytes);
  }

  inline void do_deallocate(void* p, std::size_t bytes, std::size_t alignment) override {
    std::size_t size = bytes;
    if (alignment > mem::size_class::quantum) [[unlikely]] {
      size = size_in_slabs(bytes, alignment);
    }
    if (size > mem::size_class::largest) [[unlikely]] {
      return deallocate_large(p, bytes);
    }
    const std::size_t c = mem::size_class::of(size);
    if (!slabs_.deallocate(c, p, bytes)) [[unlikely]] {
      flush(c, p, bytes);
    }
  }

  [[nodiscard]] static std::size_t size_in_slabs(std::size_t bytes, std::size_t alignment) noexcept {
    const bool fits = bytes <= mem::size_class::largest && alignment <= mem::size_class::largest;
    return fits ? mem::size_class::aligned(bytes, alignment) : mem::size_class::largest + 1;
  }

  [[nodiscard, gnu::noinline]] void* refill(std::size_t c, std::size_t bytes);
  [[gnu::noinline]] void flush(std::size_t c, void* p, std::size_t bytes) noexcept;
  [[nodiscard, gnu::noinline]] void* allocate_large(std::size_t bytes, std::size_t alignment);
  [[gnu::noinline]] void deallocate_large(void* p, std::size_t bytes) noexcept;
  void give_back(const mem::large_block& block) noexcept;
  std::size_t note_peak(std::size_t live) const noexcept;
  std::size_t give_back_spans(std::size_t keep) noexcept;
  std::size_t give_back_large(std::size_t keep) noexcept;
  void report(const mem::slab_store::refused& refused, std::size_t bytes) noexcept;

  Upstream* const upstream_;
  const slabs options_;
  mem::cached_slabs slabs_;
  mem::large_blocks large_;
  shared_ledger large_ledger_;
  std::atomic<std::size_t> failures_{0};
  mutable std::atomic<std::size_t> peak_{0};  ///< highest live seen
};

template <class Upstream>
slab_resource(Upstream*) -> slab_resource<Upstream>;
template <class Upstream>
slab_resource(Upstream*, slabs) -> slab_resource<Upstream>;

template <class Upstream>
statistics slab_resource<Upstream>::stats() const noexcept {
  const auto small = slabs_.count();
  const std::size_t spans = slabs_.store().counters().span_bytes;
  const auto large = large_.count();
  statistics figures = large_ledger_.figures();
  figures.upstream = spans + large.live + large.kept;
  figures.overhead = spans / mem::units_per_span + small.caches + large.live - figures.live;
  figures.live += small.live;
  figures.peak = note_peak(figures.live);
  figures.live_blocks += small.allocations - small.deallocations;
  figures.allocations += small.allocations;
  figures.failures += failures_.load(std::memory_order_relaxed);
  figures.kept = figures.upstream - figures.live - figures.overhead;
  return figures;
}

template <class Upstream>
fault slab_resource<Upstream>::check() const noexcept {
  if (const char* const wrong = slabs_.store().check(); wrong != nullptr) return {wrong, nullptr};
  return base::check();
}

template <class Upstream>
std::size_t slab_resource<Upstream>::trim() noexcept {
  report(slabs_.trim(), 0);
  return give_back_spans(0) + give_back_large(0);
}

template <class Upstream>
void slab_resource<Upstream>::release() noexcept {
  for (mem::span* s = slabs_.clear(); s != nullptr;) {
    mem::span* const next = s->next;  // read before the span is gone
    upstream_->deallocate(s, mem::span_bytes, mem::span_bytes);
    s = next;
  }
  for (const mem::large_block* b = large_.clear(); b != nullptr;) {
    const mem::large_block* const next = b->next;
    give_back(*b);
    b = next;
  }
  large_ledger_.released();
}

template <class Upstream>
void* slab_resource<Upstream>::refill(std::size_t c, std::size_t bytes) {
  for (;;) {
    if (void* const block = slabs_.refill(c, bytes); block != nullptr) return block;
    // No lock is held: others may add a span at the same time, and one too many is kept for later.
    try {
      slabs_.store().add_span(upstream_->allocate(mem::span_bytes, mem::span_bytes));
      note_peak(slabs_.count().live + large_ledger_.live());
    } catch (...) {
      failures_.fetch_add(1, std::memory_order_relaxed);
      throw;
    }
  }
}

template <class Upstream>
void slab_resource<Upstream>::flush(std::size_t c, void* p, std::size_t bytes) noexcept {
  report(slabs_.flush(c, p, bytes), bytes);
  const std::size_t keep = options_.keep_empty;
  if (slabs_.store().has_excess(keep)) {
    give_back_spans(std::max(keep, slabs_.store().counters().span_bytes / 8));
  }
}

template <class Upstream>
void* slab_resource<Upstream>::allocate_large(std::size_t bytes, std::size_t alignment) {
  const std::size_t size = mem::large_blocks::whole(bytes);
  if (size == 0) {
    failures_.fetch_add(1, std::memory_order_relaxed);
    throw allocation_error(this->name(), bytes, alignment, "no machine has so much memory");
  }
  void* p = large_.reuse(size, alignment);
  if (p == nullptr) {
    try {
      p = upstream_->allocate(size, alignment);
    } catch (...) {
      failures_.fetch_add(1, std::memory_order_relaxed);
      throw;
    }
    large_.add(p, size, alignment);
  }
  large_ledger_.handed_out(bytes);
  return p;
}

template <class Upstream>
void slab_resource<Upstream>::deallocate_large(void* p, std::size_t bytes) noexcept {
  large_ledger_.taken_back(bytes);
  large_.keep(p, mem::large_blocks::whole(bytes));
  give_back_large(options_.keep_large);
}

template <class Upstream>
std::size_t slab_resource<Upstream>::note_peak(std::size_t live) const noexcept {
  std::size_t seen = peak_.load(std::memory_order_relaxed);
  while (live > seen && !peak_.compare_exchange_weak(seen, live, std::memory_order_relaxed)) {
  }
  return std::max(seen, live);
}

template <class Upstream>
std::size_t slab_resource<Upstream>::give_back_spans(std::size_t keep) noexcept {
  std::size_t freed = 0;
  while (void* const span = slabs_.store().remove_empty_span(keep)) {
    upstream_->deallocate(span, mem::span_bytes, mem::span_bytes);
    freed += mem::span_bytes;
  }
  return freed;
}

template <class Upstream>
std::size_t slab_resource<Upstream>::give_back_large(std::size_t keep) noexcept {
  std::size_t freed = 0;
  while (const mem::large_block* const b = large_.evict(keep)) {
    freed += b->bytes;
    give_back(*b);
  }
  return freed;
}

// The record lies in what goes: all of it is read before the call.
template <class Upstream>
void slab_resource<Upstream>::give_back(const mem::large_block& block) noexcept {
  upstream_->deallocate(block.base, block.bytes, block.alignment);
}

template <class Upstream>
void slab_resource<Upstream>::report(const mem::slab_store::refused& refused, std::size_t bytes) noexcept {
  if (refused.fault == mem::slab_fault::none) return;
  report_misuse(
      {.layer = this->name(), .sentence = mem::describe(refused.fault), .pointer = refused.slot, .bytes = bytes});
}

static_assert(layered<slab_resource<>>);

}  // namespace strata::pmr
