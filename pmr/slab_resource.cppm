// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory_resource>
#include <type_traits>

export module strata.pmr:slab_resource;

import :allocation_error;
import :grounds;
import :inspected_blocks;
import :layer;
import :ledger;
import :misuse;
import :report;

import strata.mem;

/// Small blocks at the price of a few instructions: slabs by size class, with a cache for each thread.
///
/// Role           keeper: takes spans of 2 MiB, hands out blocks up to `largest`; larger ones come from upstream, a few
///                recent ones are kept
/// Upstream       borrowed, never null, outlives this object; slabs{} calls it from any thread, outside every lock, so
///                it is thread safe itself
/// Owns           its spans and kept large blocks, until trim(), release() or destruction
/// Thread safety  slabs{}: every member from any thread, but release() and destruction, while which no other call is
///                under way. unsynchronized_slabs{}: one thread at a time; without atomic operations, locks and
///                thread_local
/// Alignment      any power of two up to 64 KiB; above, what upstream honours
/// Size           any; zero takes a smallest block
/// Complexity     O(1): a table, a pop or a push; once in half a magazine one lock and a batch
/// Overhead       at most 7 bytes a block up to 128 (a block has at least 16), 15 up to 512, 31 up to 1024, an eighth
///                above; about 1 % for heads; a cache of 36 KiB for each thread, and what it keeps. Under an inspector 24
///                bytes a block more, or its alignment and 8, what is known of it, and 256 KiB of blocks that wait
/// Throws         what upstream throws, or allocation_error for sizes no machine has; nothing has changed. Constructed
///                with options that cannot be: std::invalid_argument
/// Deallocate     noexcept; size and alignment as allocated, else undefined. A second deallocation is noticed when the
///                block returns to its slab; with `checks` at once. In a checked build what is no block of this is misuse,
///                by both names where it is another's. Under an inspector all of it is misuse, noticed at once
/// Equality       identity
/// Fork           the child can allocate and deallocate at once; trim() gives back what was in caches of threads it does not
///                have, but of one that was in the middle of a call
/// Exit           destruction gives everything back, live blocks or not; threads that live on keep nothing of it
/// Signals        not for signal handlers
/// Composes       above pages{} or another thread-safe layer; unsynchronized_slabs{} above any
///
/// Hysteresis: a slab without live blocks goes back to its span at once, but the last one of its class; a span without
/// slabs is kept while such spans together hold at most `keep_empty` bytes, or an eighth of all, or what was reserved,
/// and goes back upstream otherwise. Large blocks are kept while they hold at most `keep_large` bytes.
///
/// Decay: with `decay_ms` what of all this was of no use for so long goes back upstream (:decay in mem/README.md says
/// how that is found): at tick(), and when a magazine runs dry or over. So do caches of threads that were idle, as at trim();
/// with a decay of 0 at tick() alone.
export namespace strata::pmr {

using mem::threads;

template <class Upstream, threads Threads>
class slab_resource;

/// A slab_resource in a stack: its options.
template <threads Threads>
struct slab_options {
  template <class Upstream>
  using layer_over = slab_resource<Upstream, Threads>;

  const char* name = "slabs";                      ///< in reports and errors; outlives the layer
  std::size_t largest = mem::size_class::largest;  ///< bytes; what is larger comes from upstream. At most 64 KiB
  std::size_t slab_bytes = mem::unit_bytes;        ///< of a slab at least: a power of two from 16 KiB to 1 MiB. Blocks
      ///< above 1 KiB have slabs of 64 KiB at least, above 8 KiB of 256; no
      ///< slab has more than 1024 blocks
  std::size_t cache_bytes = std::size_t{8} << 20;  ///< of free blocks that a thread keeps at most. How they are shared
                                                   ///< out among the classes follows their use
  std::size_t depot_bytes = std::size_t{8} << 20;  ///< of free blocks that pass from thread to thread without going
                                                   ///< back to their slabs, at most; of one size 1 MiB
  std::size_t keep_empty = std::size_t{64} << 20;  ///< bytes; spans without slabs kept back from upstream
  std::size_t keep_large = std::size_t{32} << 20;  ///< bytes; large blocks kept back from upstream
  std::size_t decay_ms = mem::no_decay;  ///< after which what is kept and was not used goes back upstream; 0: at once.
                                         ///< Where no thread calls any more, only tick() sees it
  bool checks = false;                   ///< a second deallocation, another size and a foreign address are
                                         ///< reported at once, and nothing is changed by them, at a few times
                                         ///< the price. Up to 128 GiB of spans: foreign addresses beyond are
                                         ///< not told
};

/// For any thread.
using slabs = slab_options<threads::any>;

/// For one thread at a time: no atomic operation, no lock, no thread_local. Upstream need not be thread safe either.
using unsynchronized_slabs = slab_options<threads::one>;

}  // namespace strata::pmr

namespace strata::pmr {

// Throws std::invalid_argument, in a sentence, when options of a slab_resource cannot be.
void require_slab_options(const char* name, std::size_t largest, std::size_t slab_bytes);

}  // namespace strata::pmr

export namespace strata::pmr {

template <class Upstream = std::pmr::memory_resource, threads Threads = threads::any>
class slab_resource final : public direct_layer<slab_resource<Upstream, Threads>> {
  using base = direct_layer<slab_resource>;

 public:
  using upstream_type = Upstream;
  static constexpr bool thread_safe = Threads == threads::any;
  static constexpr std::size_t max_alignment = max_alignment_of<Upstream>;
  static constexpr bool zeroed = false;
  static constexpr bool can_release = true;

  static_assert(!thread_safe || is_thread_safe_or_unknown<Upstream>,
                "strata::pmr::slab_resource: any thread may ask upstream; put synchronized{} between");

  explicit slab_resource(Upstream* upstream, slab_options<Threads> options = {})
      : base(options.name, upstream),
        upstream_(upstream),
        options_(valid(options)),
        slabs_({.units = options.slab_bytes / mem::unit_bytes,
                .checked = options.checks,
                .depot_bytes = options.depot_bytes,
                .decay = mem::decay_period(options.decay_ms)},
               {.bytes = options.cache_bytes}),
        large_(mem::decay_period(options.decay_ms)),
        timer_(mem::decay_period(options.decay_ms)),
        grounds_(options.name),
        inspected_(options.name) {}

  ~slab_resource() override { release(); }

  /// Figures of all threads. What rounding to classes costs counts as kept: it is not known by block. `peak` is looked
  /// at when a span is added and when figures are asked for, so it may be low by what came and went within the spans
  /// there were.
  [[nodiscard]] statistics stats() const noexcept override;
  [[nodiscard]] fork_policy at_fork() const noexcept override { return this->at_fork_with_books_in_upstream(); }

  [[nodiscard]] fault check() const noexcept override;

  /// A block, if that takes neither a call nor a lock; else null, and allocate() is to be asked. For layers above, which
  /// then need not keep anything over a call.
  [[nodiscard]] inline void* allocate_quickly(std::size_t bytes, std::size_t alignment) noexcept {
    if constexpr (mem::has_address_sanitizer) return nullptr;
    const std::size_t last = mem::size_class::last_byte(bytes, alignment);
    if (last >= options_.largest) [[unlikely]]
      return nullptr;
    return slabs_.allocate(mem::size_class::with(last), bytes);
  }

  /// Takes spans from upstream until those without slabs hold at least `bytes`, and touches every page of them, so that
  /// so many bytes can be allocated without asking upstream and without a page fault. They are kept until trim() or
  /// release(). Throws what upstream throws; what was taken until then is kept.
  void reserve(std::size_t bytes);

  /// Gives what the calling thread's cache holds back to the slabs: for a thread that will be idle for long, where nobody calls
  /// trim() or tick(), or those cannot reach it.
  void flush_this_thread() noexcept { report(slabs_.flush_mine(), 0); }

  /// Gives back what caches of threads, empty slabs, spans and kept large blocks hold, reserved or not. Another thread's cache
  /// is left alone when that thread is in the middle of a call, which only a trim again tells from being idle, and on a system
  /// without a barrier for all threads (Linux before 4.14, a filter that forbids `membarrier`, Solaris): there a cache keeps up
  /// to `cache_bytes`, and the spans they lie in, until its thread calls or ends.
  /// What is free in spans that stay is still kept, but the memory behind it goes back to the OS. Returns the bytes given
  /// back upstream.
  std::size_t trim() noexcept;

  /// Gives back what was kept unused for `decay_ms`, but what was reserved. Returns the bytes given back upstream. O(1)
  /// but for what goes. `now` is what
  /// tick() reads, the monotonic clock in nanoseconds; a test may run ahead of it: until it has caught up, nothing is looked
  /// at without a tick.
  std::size_t tick(std::uint64_t now) noexcept;
  std::size_t tick() noexcept { return timer_.is_on() ? tick(mem::monotonic_ns()) : 0; }

  /// Gives everything back upstream; all blocks are void.
  void release() noexcept;

 private:
  friend base;

  using large_blocks = mem::large_blocks<Threads>;

  [[nodiscard]] inline void* do_allocate(std::size_t bytes, std::size_t alignment) override {
    if constexpr (!mem::has_address_sanitizer) {
      if (void* const block = allocate_quickly(bytes, alignment); block != nullptr) [[likely]] {
        return block;
      }
    }
    return allocate_slowly(bytes, alignment);
  }

  inline void do_deallocate(void* p, std::size_t bytes, std::size_t alignment) override {
    if constexpr (mem::has_address_sanitizer) {
      deallocate_slowly(p, bytes, alignment);
    } else {
      if constexpr (mem::checked) {
        if (is_refused(p, bytes, alignment)) return;
      }
      const std::size_t last = mem::size_class::last_byte(bytes, alignment);
      if (last >= options_.largest) [[unlikely]] {
        return deallocate_slowly(p, bytes, alignment);
      }
      if (!slabs_.deallocate(mem::size_class::with(last), p, bytes)) [[unlikely]] {
        deallocate_slowly(p, bytes, alignment);
      }
    }
  }

  [[nodiscard]] static slab_options<Threads> valid(const slab_options<Threads>& options) {
    require_slab_options(options.name, options.largest, options.slab_bytes);
    return options;
  }

  [[nodiscard, gnu::noinline]] void* allocate_slowly(std::size_t bytes, std::size_t alignment);
  [[gnu::noinline]] void deallocate_slowly(void* p, std::size_t bytes, std::size_t alignment) noexcept;
  [[nodiscard]] bool is_refused(const void* p, std::size_t bytes, std::size_t alignment) const noexcept;
  [[nodiscard]] void* allocate_inspected(std::size_t bytes, std::size_t alignment);
  [[nodiscard]] inline auto as_put() noexcept {
    return [this](const inspected_blocks::room& due) noexcept { put(due.start, due.bytes, due.alignment); };
  }
  [[nodiscard]] void* obtain(std::size_t bytes, std::size_t alignment);
  void put(void* p, std::size_t bytes, std::size_t alignment) noexcept;
  [[nodiscard]] void* refill(std::size_t c, std::size_t bytes);
  void flush(std::size_t c, void* p, std::size_t bytes) noexcept;
  [[nodiscard]] void* allocate_nothing(std::size_t alignment);
  void deallocate_nothing(void* p, std::size_t alignment) noexcept;
  [[nodiscard]] void* allocate_large(std::size_t bytes, std::size_t alignment);
  void deallocate_large(void* p, std::size_t bytes) noexcept;
  void add_span(bool touched);
  void give_back_span(void* span) noexcept;
  void give_back(const mem::large_block& block) noexcept;
  std::size_t give_back_spans(std::size_t keep) noexcept;
  std::size_t give_back_large(std::size_t keep) noexcept;
  std::size_t let_go(std::uint64_t now, std::size_t found) noexcept;
  [[gnu::noinline]] void let_go_if_due() noexcept;
  void report(const mem::refused_slot& refused, std::size_t bytes) noexcept;
  [[noreturn]] void refuse(std::size_t bytes, std::size_t alignment, const char* reason) const;

  Upstream* const upstream_;
  const slab_options<Threads> options_;
  mem::cached_slabs<Threads> slabs_;
  large_blocks large_;
  mem::decay_timer<Threads> timer_;
  std::conditional_t<thread_safe, shared_ledger, ledger> large_ledger_;
  mem::tally<Threads> failures_;
  mem::tally<Threads> reserved_;      ///< bytes; kept beyond the hysteresis
  mutable mem::tally<Threads> peak_;  ///< highest live seen
  grounds grounds_;
  inspected_blocks inspected_;  ///< then blocks lie in rooms, which are blocks to all else here
};

template <class Upstream>
slab_resource(Upstream*) -> slab_resource<Upstream>;
template <class Upstream, threads Threads>
slab_resource(Upstream*, slab_options<Threads>) -> slab_resource<Upstream, Threads>;

template <class Upstream, threads Threads>
statistics slab_resource<Upstream, Threads>::stats() const noexcept {
  const auto small = slabs_.count();
  const mem::slab_counters store = slabs_.store().counters();
  const auto large = large_.count();
  statistics figures = large_ledger_.figures();
  figures.upstream = store.span_bytes + large.live + large.kept;
  figures.overhead = store.span_bytes / mem::span_bytes * mem::span::head_units * mem::unit_bytes + store.depot_bytes +
                     small.caches + large.live - figures.live;
  figures.live += small.live;
  figures.peak = peak_.raise(figures.live);
  figures.live_blocks += small.allocations - small.deallocations;
  figures.allocations += small.allocations;
  figures.failures += failures_.get();
  figures.kept = figures.upstream - figures.live - figures.overhead;
  return inspected_.over(figures);
}

template <class Upstream, threads Threads>
fault slab_resource<Upstream, Threads>::check() const noexcept {
  if (const char* const wrong = slabs_.store().check(); wrong != nullptr) return {wrong, nullptr};
  return base::check();
}

template <class Upstream, threads Threads>
std::size_t slab_resource<Upstream, Threads>::trim() noexcept {
  reserved_.set(0);
  inspected_.give_due(as_put(), 0);
  report(slabs_.trim(), 0);
  return give_back_spans(0) + give_back_large(0);
}

template <class Upstream, threads Threads>
std::size_t slab_resource<Upstream, Threads>::tick(std::uint64_t now) noexcept {
  if (!timer_.is_on()) return 0;
  timer_.looked(now);
  const auto idle = slabs_.let_go_of_idle(now);
  report(idle.refused, 0);
  return let_go(now, idle.span_bytes);
}

// `found`: bytes of empty spans that idle caches left.
template <class Upstream, threads Threads>
std::size_t slab_resource<Upstream, Threads>::let_go(std::uint64_t now, std::size_t found) noexcept {
  const auto unused = slabs_.store().let_go(now, found);
  report(unused.refused, 0);
  const std::size_t empty = slabs_.store().empty_bytes();
  std::size_t freed = give_back_spans(std::max(reserved_.get(), empty - std::min(empty, unused.span_bytes)));
  for (std::size_t left = large_.look(now); const mem::large_block* const b = large_.evict_unused(left);) {
    freed += b->bytes;
    give_back(*b);
  }
  return freed;
}

// Whoever comes here uses his cache, and with a decay of 0 so do all others.
template <class Upstream, threads Threads>
void slab_resource<Upstream, Threads>::let_go_if_due() noexcept {
  std::uint64_t now = 0;
  if (!timer_.is_due(now)) return;
  options_.decay_ms != 0 ? tick(now) : let_go(now, 0);
}

template <class Upstream, threads Threads>
void slab_resource<Upstream, Threads>::release() noexcept {
  for (mem::span* s = slabs_.clear(); s != nullptr;) {
    mem::span* const next = s->next;  // read before the span is gone
    give_back_span(s);
    s = next;
  }
  for (const mem::large_block* b = large_.clear(); b != nullptr;) {
    const mem::large_block* const next = b->next;
    give_back(*b);
    b = next;
  }
  large_ledger_.released();
  inspected_.forget_all();
}

template <class Upstream, threads Threads>
void slab_resource<Upstream, Threads>::reserve(std::size_t bytes) {
  // Set first: what other threads give back meanwhile is not sent upstream only to be asked for again.
  reserved_.raise(bytes);
  try {
    while (slabs_.store().empty_bytes() < bytes) add_span(true);
  } catch (...) {
    failures_.add(1);
    throw;
  }
}

template <class Upstream, threads Threads>
void* slab_resource<Upstream, Threads>::allocate_slowly(std::size_t bytes, std::size_t alignment) {
  try {
    return mem::inspected() ? allocate_inspected(bytes, alignment) : obtain(bytes, alignment);
  } catch (...) {
    failures_.add(1);
    throw;
  }
}

template <class Upstream, threads Threads>
void slab_resource<Upstream, Threads>::deallocate_slowly(void* p, std::size_t bytes, std::size_t alignment) noexcept {
  mem::inspected() ? inspected_.take_back(p, bytes, alignment, as_put()) : put(p, bytes, alignment);
}

template <class Upstream, threads Threads>
void* slab_resource<Upstream, Threads>::allocate_inspected(std::size_t bytes, std::size_t alignment) {
  inspected_blocks::room room;
  if (!inspected_blocks::room_for(bytes, alignment, room) || large_blocks::whole(room.bytes) == 0) {
    refuse(bytes, alignment, "no machine has so much memory");
  }
  const auto find = [this](inspected_blocks::room& in) { in.start = obtain(in.bytes, in.alignment); };
  void* const block = inspected_.hand_out(room, bytes, alignment, find, as_put());
  if (block == nullptr) refuse(bytes, alignment, "no memory for what is to be known of the block");
  return block;
}

// What is no block of this, or where another lives, changes nothing. A checked store says itself what it is given.
template <class Upstream, threads Threads>
bool slab_resource<Upstream, Threads>::is_refused(const void* p, std::size_t bytes,
                                                  std::size_t alignment) const noexcept {
  if (mem::inspected()) return false;
  const std::size_t last = mem::size_class::last_byte(std::max<std::size_t>(bytes, 1), alignment);
  if (options_.checks && last < options_.largest) return false;
  mem::slab_fault fault = mem::slab_fault::foreign;
  if (last < options_.largest) {
    fault = slabs_.store().judge(mem::size_class::with(last), p);
  } else if (grounds_.begins(p)) {
    fault = mem::slab_fault::none;
  }
  const bool is_ours = fault != mem::slab_fault::foreign && !grounds_.has_tenant(p) &&
                       (fault == mem::slab_fault::none || !grounds_.whose(p));
  if (!is_ours) {
    grounds_.report({.layer = this->name(),
                     .sentence = mem::describe(mem::slab_fault::foreign),
                     .pointer = p,
                     .bytes = bytes,
                     .alignment = alignment});
  }
  return !is_ours;
}

// A block of the resource's, or a room for one.
template <class Upstream, threads Threads>
void* slab_resource<Upstream, Threads>::obtain(std::size_t bytes, std::size_t alignment) {
  if (bytes == 0) return allocate_nothing(alignment);
  const std::size_t last = mem::size_class::last_byte(bytes, alignment);
  return last < options_.largest ? refill(mem::size_class::with(last), bytes) : allocate_large(bytes, alignment);
}

template <class Upstream, threads Threads>
void slab_resource<Upstream, Threads>::put(void* p, std::size_t bytes, std::size_t alignment) noexcept {
  if (bytes == 0) return deallocate_nothing(p, alignment);
  const std::size_t last = mem::size_class::last_byte(bytes, alignment);
  last < options_.largest ? flush(mem::size_class::with(last), p, bytes) : deallocate_large(p, bytes);
}

template <class Upstream, threads Threads>
void* slab_resource<Upstream, Threads>::refill(std::size_t c, std::size_t bytes) {
  if (timer_.is_on()) let_go_if_due();
  for (;;) {
    mem::refused_slot refused;
    void* const block = slabs_.refill(c, bytes, refused);
    report(refused, 0);
    if (block != nullptr) return block;
    // No lock is held: others may add a span at the same time, and one too many is kept for later.
    add_span(false);
    peak_.raise(slabs_.count().live + large_ledger_.live());
  }
}

template <class Upstream, threads Threads>
void slab_resource<Upstream, Threads>::add_span(bool touched) {
  void* const memory = upstream_->allocate(mem::span_bytes, mem::span_bytes);
  grounds_.add(memory, mem::span_bytes);
  if (touched) mem::touch(memory, mem::span_bytes);
  slabs_.store().add_span(memory);
}

template <class Upstream, threads Threads>
void slab_resource<Upstream, Threads>::flush(std::size_t c, void* p, std::size_t bytes) noexcept {
  report(slabs_.flush(c, p, bytes), bytes);
  const std::size_t keep = std::max(options_.keep_empty, reserved_.get());
  if (slabs_.store().empty_bytes() > keep) {
    give_back_spans(std::max(keep, slabs_.store().counters().span_bytes / 8));
  }
  if (timer_.is_on()) let_go_if_due();
}

// Zero bytes get what one byte of that alignment would, but for the figures.
template <class Upstream, threads Threads>
void* slab_resource<Upstream, Threads>::allocate_nothing(std::size_t alignment) {
  const std::size_t last = mem::size_class::last_byte(1, alignment);
  return last < options_.largest ? refill(mem::size_class::with(last), 0) : allocate_large(0, alignment);
}

template <class Upstream, threads Threads>
void slab_resource<Upstream, Threads>::deallocate_nothing(void* p, std::size_t alignment) noexcept {
  const std::size_t last = mem::size_class::last_byte(1, alignment);
  last < options_.largest ? flush(mem::size_class::with(last), p, 0) : deallocate_large(p, 0);
}

template <class Upstream, threads Threads>
void* slab_resource<Upstream, Threads>::allocate_large(std::size_t bytes, std::size_t alignment) {
  const std::size_t size = large_blocks::whole(bytes);
  if (size == 0) refuse(bytes, alignment, "no machine has so much memory");
  void* p = large_.reuse(size, alignment);
  if (p == nullptr) {
    p = upstream_->allocate(size, alignment);
    grounds_.add(p, size);
    if (mem::inspected()) mem::hide(p, size - sizeof(mem::large_block));
    large_.add(p, size, alignment);
  }
  large_ledger_.handed_out(bytes);
  return p;
}

template <class Upstream, threads Threads>
void slab_resource<Upstream, Threads>::deallocate_large(void* p, std::size_t bytes) noexcept {
  large_ledger_.taken_back(bytes);
  large_.keep(p, large_blocks::whole(bytes));
  give_back_large(options_.keep_large);
  if (timer_.is_on()) let_go_if_due();
}

template <class Upstream, threads Threads>
std::size_t slab_resource<Upstream, Threads>::give_back_spans(std::size_t keep) noexcept {
  std::size_t freed = 0;
  while (void* const span = slabs_.store().remove_empty_span(keep)) {
    give_back_span(span);
    freed += mem::span_bytes;
  }
  return freed;
}

template <class Upstream, threads Threads>
std::size_t slab_resource<Upstream, Threads>::give_back_large(std::size_t keep) noexcept {
  std::size_t freed = 0;
  while (const mem::large_block* const b = large_.evict(keep)) {
    freed += b->bytes;
    give_back(*b);
  }
  return freed;
}

template <class Upstream, threads Threads>
void slab_resource<Upstream, Threads>::give_back_span(void* span) noexcept {
  grounds_.remove(span, mem::span_bytes);
  upstream_->deallocate(span, mem::span_bytes, mem::span_bytes);
}

// The record lies in what goes: all of it is read before that.
template <class Upstream, threads Threads>
void slab_resource<Upstream, Threads>::give_back(const mem::large_block& block) noexcept {
  const mem::large_block gone = block;
  if (mem::inspected()) mem::show(gone.base, gone.bytes);
  grounds_.remove(gone.base, gone.bytes);
  upstream_->deallocate(gone.base, gone.bytes, gone.alignment);
}

template <class Upstream, threads Threads>
void slab_resource<Upstream, Threads>::report(const mem::refused_slot& refused, std::size_t bytes) noexcept {
  if (refused.fault == mem::slab_fault::none) return;
  grounds_.report(
      {.layer = this->name(), .sentence = mem::describe(refused.fault), .pointer = refused.slot, .bytes = bytes});
}

template <class Upstream, threads Threads>
void slab_resource<Upstream, Threads>::refuse(std::size_t bytes, std::size_t alignment, const char* reason) const {
  throw allocation_error(this->name(), bytes, alignment, reason);
}

static_assert(layered<slab_resource<>>);

}  // namespace strata::pmr
