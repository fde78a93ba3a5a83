// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <memory_resource>
#include <span>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"

export module strata.pmr:heap_resource;

import :allocation_error;
import :finding;
import :grounds;
import :heap_dump;
import :heap_options;
import :inspected_blocks;
import :layer;
import :ledger;
import :misuse;
import :refusals;
import :report;

import strata.mem;

/// A general heap: blocks of any size and place out of arenas from upstream, neighbours joined when freed.
///
/// Role           keeper: takes arenas, hands out blocks, keeps what is freed
/// Upstream       borrowed, never null, outlives this object
/// Owns           its arenas, until trim(), release() or destruction
/// Thread safety  heap{}: one thread at a time. shared_heap{}: any thread, behind one lock, which is not held while
///                upstream, owners, merge and panic are called
/// Alignment      any power of two up to 2^45; allocate_aligned() any residue of any number
/// Size           up to 2^45 bytes; zero takes a smallest block
/// Complexity     O(1) but for the arenas' tree, O(log arenas), whatever the sequence of sizes; compact(), check() and
///                walk() O(blocks)
/// Overhead       8 bytes a block, rounding to the quantum (16), 48 bytes an arena; a movable block 16 more. Under an
///                inspector what is known of each block, and 256 KiB of blocks that wait until the heap wants more
/// Throws         what upstream throws, or allocation_error for what cannot be and beyond max_bytes, after one
///                compaction that did not help; nothing has changed. What owners and panic throw
/// Deallocate     noexcept unless panic throws; size and alignment as allocated. A block that is free already and a
///                pointer that was never handed out are misuse; where the heap itself is found damaged then, it is
///                marked, and serves nothing until release(). Small blocks are looked at up to
///                four deallocations later, or by whatever asks about the heap: `checks` has them looked at at once
/// Equality       identity
/// Fork           the child has a private copy; both sides go on
/// Exit           destruction gives every arena back, live blocks or not; live_at_end_is_misuse says whether those are
///                misuse
/// Signals        not for signal handlers
/// Composes       above a source or an adaptor; heap{} below synchronized{} or for one thread
///
/// Hysteresis: an arena that has just become empty is kept while empty arenas together hold at most `keep_empty` bytes
/// or an eighth of what the heap holds, whichever is more, and goes back upstream at once otherwise. So a load that
/// empties and refills the same arenas asks upstream nothing, and a heap that shrinks for good keeps little. Small freed
/// blocks wait for a request of their size (`keep_freed`) until use has fallen by a quarter, and hold their arenas
/// meanwhile.
///
/// Decay: with `decay_ms` arenas that were empty for so long go back upstream (:decay in mem/README.md says how that is
/// found): at tick(), when an arena becomes empty, and when one is wanted.
export namespace strata::pmr {

/// What Plan 9 counts of a pool. Bytes unless they say otherwise; arenas = used + free + overhead at every step.
struct heap_figures {
  std::size_t arenas = 0;                    ///< from upstream (cursize)
  std::size_t used = 0;                      ///< in blocks handed out, their headers and slack included (curalloc)
  std::size_t free = 0;                      ///< in all others (curfree)
  std::size_t overhead = 0;                  ///< headers and ends of arenas
  std::size_t frees = 0;                     ///< count: blocks taken back so far (nfree)
  std::size_t frees_at_last_compaction = 0;  ///< what `frees` was then (lastcompact)
  std::size_t compactions = 0;               ///< count
};

/// A block that may hold more than was asked for.
struct sized_block {
  void* at;
  std::size_t bytes;  ///< with which it is deallocated
};

template <class Upstream = std::pmr::memory_resource, threads Threads = threads::one>
class heap_resource final : public direct_layer<heap_resource<Upstream, Threads>> {
  using base = direct_layer<heap_resource<Upstream, Threads>>;

 public:
  using upstream_type = Upstream;
  using options_type = heap_options<Threads>;
  static constexpr bool thread_safe = Threads == threads::any;
  static constexpr std::size_t max_alignment = mem::boundary_heap::max_bytes;
  static constexpr bool zeroed = false;
  static constexpr bool can_release = true;

  explicit heap_resource(Upstream* upstream, options_type options = {}) noexcept
      : base(options.name, upstream),
        upstream_(upstream),
        options_(options),
        may_wait_(options.checks || options.keep_freed < 64 ? 0 : options.keep_freed - 64),
        detour_(why_inspected()),
        heap_({.quantum = options.quantum, .min_block = options.min_block, .keep = options.keep_freed}),
        decay_(mem::decay_period(options.decay_ms)),
        timer_(mem::decay_period(options.decay_ms)),
        grounds_(options.name),
        inspected_(options.name) {}

  ~heap_resource() override;

  [[nodiscard]] statistics stats() const noexcept override;
  [[nodiscard]] fork_policy at_fork() const noexcept override { return this->at_fork_with_books_in_upstream(); }
  [[nodiscard]] heap_figures counters() const noexcept;
  [[nodiscard]] std::size_t degraded(std::span<degradation> out) const noexcept override;

  /// This heap, block by block, then what is below.
  [[nodiscard]] fault check() const noexcept override;
  /// One block, whatever `p` is: reads nothing but this heap's arenas. Null is fine. O(log arenas).
  [[nodiscard]] fault check(const void* p) const noexcept;

  /// Whether `p` is a block of this heap, handed out and not taken back. Reads nothing but its arenas.
  [[nodiscard]] bool holds(const void* p) const noexcept;

  /// Shows every block, handed out or not, in address order. The visitor must not use this heap: its lock is held.
  void walk(absl::FunctionRef<void(const mem::heap_block&)> visitor) const;

  /// Writes a line for each arena and each block (format: tools/README.md, for `strata heapmap`). The lock is held: what
  /// `out` needs must not come from this heap.
  void dump(std::FILE* out) const;

  /// At least `bytes` bytes, and as many as the block holds.
  [[nodiscard]] sized_block allocate_at_least(std::size_t bytes, std::size_t alignment = alignof(std::max_align_t));

  /// `bytes` bytes at an address p with p mod align == offset mod align, unless align is 0, that do not cross a multiple of
  /// span, unless span is 0 (Plan 9's poolallocalign). Any integers: a negative offset counts down from the next
  /// multiple. Refused when no address can be so. Deallocated with `bytes` and any alignment.
  [[nodiscard]] void* allocate_aligned(std::size_t bytes, std::size_t align, std::ptrdiff_t offset = 0,
                                       std::size_t span = 0);

  /// A block that compact() may move to another address, a multiple of `alignment` as well, and then tells `owner`. What
  /// lies in it is moved as bytes. Deallocated as any other.
  [[nodiscard]] void* allocate_movable(std::size_t bytes, std::size_t alignment, block_owner& owner);
  /// From now on another one is told. Pre: `p` is a movable block.
  void set_owner(void* p, block_owner& owner) noexcept;

  /// Bytes that may be used at `p`, at least what was asked for. Pre: `p` is a live block of this heap.
  [[nodiscard]] std::size_t usable_size(const void* p) const noexcept;
  /// The same, and from now on that is the block's size: it is deallocated with what is returned. Pre: `p` was asked for
  /// with `bytes`.
  std::size_t usable_size(void* p, std::size_t bytes) noexcept;

  /// Makes the block at `p` hold `bytes` instead of `old_bytes` without moving it; false, nothing changed, when that
  /// cannot be done. It is then deallocated with the new size. Pre: `p` is a live block of this heap.
  [[nodiscard]] bool try_resize(void* p, std::size_t old_bytes, std::size_t bytes) noexcept;

  /// Makes the block at `p` hold as much as it can where it is, from `least` to `most` bytes. Returns what it holds, with
  /// which it is then deallocated; `old_bytes`, nothing changed, when that would be less than `least`. Pre: as
  /// try_resize(), old_bytes <= least <= most.
  [[nodiscard]] std::size_t try_expand(void* p, std::size_t old_bytes, std::size_t least, std::size_t most) noexcept;

  /// The block at `p` with `bytes` bytes: where it is, or grown into what is free above it, below it, or both, or as a new
  /// block, its contents kept up to the smaller size. Null allocates. Throws as allocate(); then the old block is as it
  /// was. O(bytes).
  [[nodiscard]] void* reallocate(void* p, std::size_t old_bytes, std::size_t bytes,
                                 std::size_t alignment = alignof(std::max_align_t));

  /// Packs movable blocks towards the start of their arenas and tells their owners. Returns how many were moved; does
  /// nothing when no block has been freed since the last time. A request that would fail does this first, once.
  std::size_t compact();

  /// As long as one lives, no movable block is moved, for compact() does nothing: for threads that share the heap.
  class stillness {
   public:
    inline explicit stillness(heap_resource& heap) noexcept : heap_(heap) { heap_.hold_still(); }
    inline ~stillness() { heap_.still_.fetch_sub(1, std::memory_order_release); }
    stillness(const stillness&) = delete;
    stillness& operator=(const stillness&) = delete;

   private:
    heap_resource& heap_;
  };

  /// Gives every empty arena back upstream; the memory behind what is free in the others goes back to the OS, though it
  /// stays the heap's and counts as kept. Returns the bytes given back upstream. O(blocks).
  std::size_t trim() noexcept;

  /// Gives back arenas that were empty for `decay_ms`; what waits in a heap that nobody used so long is joined first.
  /// Returns the bytes given back. O(1) but for what goes; does nothing in somebody else's compaction. `now` is
  /// what tick() reads, the monotonic clock in nanoseconds; a test may run ahead of it: until it has caught up, nothing is
  /// looked at without a tick.
  std::size_t tick(std::uint64_t now) noexcept;
  std::size_t tick() noexcept { return timer_.is_on() ? tick(mem::monotonic_ns()) : 0; }

  /// Gives every arena back upstream; all blocks are void, and so is any damage. Pre: no other call is under way.
  void release() noexcept;

 private:
  friend base;

  // An arena starts as aligned as any object; asking for pages is upstream's affair.
  static constexpr std::size_t arena_alignment = alignof(std::max_align_t);

  enum class kind : unsigned char { plain, placed, movable, grown };
  struct request {
    kind what;
    std::size_t bytes;
    std::size_t alignment;
    std::ptrdiff_t offset = 0;
    std::size_t span = 0;
    void* subject = nullptr;    ///< the owner, or the block that is to grow
    std::size_t old_bytes = 0;  ///< of that
  };
  // A block as its caller gave it back.
  struct given {
    void* at;
    std::size_t bytes;
    std::size_t alignment;
  };
  struct fault_of {
    mem::heap_fault what;
    given block;
  };
  // The right to make the heap grow, shrink and move: one thread has it at a time.
  class turn;

  [[nodiscard]] inline void* do_allocate(std::size_t bytes, std::size_t alignment) override {
    if constexpr (!mem::has_address_sanitizer) {
      const mem::lock held(lock_);
      if (detour_ == nullptr) [[likely]] {
        if (void* const p = heap_.allocate(bytes, alignment); p != nullptr) [[likely]] {
          ledger_.handed_out(bytes);
          return p;
        }
      }
    }
    return obtain({kind::plain, bytes, alignment});
  }

  inline void do_deallocate(void* p, std::size_t bytes, std::size_t alignment) override {
    given due{p, bytes, alignment};
    mem::heap_fault fault = mem::heap_fault::none;
    if constexpr (mem::has_address_sanitizer) return take_detour(due);
    if constexpr (mem::checked) {
      if (is_anothers(p)) return refuse(mem::heap_fault::not_a_block, due);
    }
    {
      const mem::lock held(lock_);
      if (detour_ == nullptr) [[likely]] {
        ledger_.taken_back(bytes);
        if (bytes <= may_wait_ && p != nullptr) [[likely]] {
          // What stands in front of a block that was not used for a while is far away: it is sent for, and looked at
          // when it has come.
          __builtin_prefetch(mem::at<std::byte>(p, -8), 1);
          std::swap(due, waiting_[turn_++ % waiting_.size()]);
          if (due.at == nullptr) [[unlikely]] {
            return;
          }
        }
        const auto freed = heap_.deallocate(due.at, due.bytes);
        fault = freed.fault;
        if (fault == mem::heap_fault::none) [[likely]] {
          if ((freed.emptied == nullptr || !(has_excess() || timer_.is_on())) && found_count_ == 0) [[likely]] {
            return;
          }
        } else {
          ledger_.not_taken_back(due.bytes);
        }
      } else {
        fault = mem::heap_fault::bad_count;  // no answer to a deallocation
      }
    }
    if (fault == mem::heap_fault::bad_count) return take_detour(due);
    tell_found();
    if (fault != mem::heap_fault::none) return refuse(fault, due);
    give_back_excess();
  }

  [[nodiscard]] static const char* why_inspected() noexcept { return mem::inspected() ? "inspected" : nullptr; }
  [[gnu::noinline]] void take_detour(const given& block);
  void deallocate_inspected(const given& block);
  void give_back_due(std::size_t more_than);
  void put(const given& room);
  [[nodiscard]] void* obtain_inspected(const request& r);
  [[nodiscard]] void* reallocate_inspected(void* p, std::size_t old_bytes, std::size_t bytes, std::size_t alignment);
  [[nodiscard]] void* serve(const request& r) noexcept ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  [[nodiscard]] void* regrow(const request& r) noexcept ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  [[nodiscard]] std::size_t arena_for(const request& r) noexcept ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  [[nodiscard]] inline std::size_t arena_for_movable(std::size_t bytes, std::size_t alignment) const noexcept
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_) {
    std::size_t all = 0;
    return mem::checked_add(bytes, mem::heap_mover::own_bytes, all) ? heap_.region_bytes_for(all, alignment) : 0;
  }
  [[nodiscard]] inline bool has_excess() const noexcept ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_) {
    const mem::heap_counters c = heap_.counters();
    return c.empty > options_.may_keep(c.regions);
  }
  [[nodiscard]] void* obtain(const request& r);
  [[nodiscard]] void* find_room(const request& r);
  [[nodiscard]] void* serve_by_all_means(const request& r, std::size_t needed);
  [[nodiscard]] void* serve_from_new_arena(const request& r, std::size_t needed);
  [[nodiscard]] void* add_and_serve(void* start, std::size_t bytes, const request& r);
  std::size_t compact_in_turn();
  [[nodiscard]] bool start_compaction() noexcept;
  [[nodiscard]] mem::heap_step move_one(mem::heap_move& move) noexcept;
  void end_compaction() noexcept;
  std::size_t give_back(bool all) noexcept;
  void give_back_excess() noexcept;
  [[nodiscard]] std::size_t look(std::uint64_t now, std::size_t& joined) noexcept;
  std::size_t give_back_unused(std::size_t& bytes) noexcept;
  void hold_still() noexcept;
  void settle() const noexcept ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  void tell_found();
  [[nodiscard]] bool is_anothers(const void* p) const noexcept;
  void refuse(mem::heap_fault fault, const given& block);
  void panic(const misuse& what) const;
  [[nodiscard]] const char* why_not(const request& r) const noexcept;
  [[noreturn]] void fail(const request& r, const char* reason);

  Upstream* const upstream_;
  const options_type options_;
  const std::size_t may_wait_;  ///< bytes; larger blocks do not wait
  mutable mem::mutex_for<Threads> lock_{"of a heap"};
  mem::growth_for<Threads> growth_;                      ///< arenas come and go, and blocks move, in turns
  std::atomic<std::size_t> still_{0};                    ///< who wants no block moved
  const char* damage_ ABSL_GUARDED_BY(lock_) = nullptr;  ///< what was found damaged; null: nothing
  const char* detour_ ABSL_GUARDED_BY(lock_);  ///< null, or why no call takes the short way: damage, inspection
  // Blocks that were deallocated and are not yet looked at, and those that were, and were none. The heap still holds
  // them for used; the ledger does not.
  mutable std::array<given, 4> waiting_ ABSL_GUARDED_BY(lock_){};
  std::size_t turn_ ABSL_GUARDED_BY(lock_) = 0;
  mutable std::size_t found_count_ ABSL_GUARDED_BY(lock_) = 0;
  mutable ledger ledger_ ABSL_GUARDED_BY(lock_);
  mutable mem::boundary_heap heap_ ABSL_GUARDED_BY(
      lock_);  ///< its regions are the arenas, each taken from upstream with its size and arena_alignment, or merged of such
  mutable std::array<fault_of, 4> found_ ABSL_GUARDED_BY(lock_){};
  bool compacting_ ABSL_GUARDED_BY(lock_) = false;
  std::size_t compactions_ ABSL_GUARDED_BY(lock_) = 0;
  std::size_t frees_at_last_compaction_ ABSL_GUARDED_BY(lock_) = 0;
  mem::decay decay_ ABSL_GUARDED_BY(lock_);
  mem::idleness idle_ ABSL_GUARDED_BY(lock_);
  std::size_t uses_seen_ ABSL_GUARDED_BY(lock_) = 0;
  mem::decay_timer<Threads> timer_;
  grounds grounds_;
  inspected_blocks inspected_;  ///< a room is a block of the heap; its own words are hidden too
};

template <class Upstream>
heap_resource(Upstream*) -> heap_resource<Upstream, threads::one>;
template <class Upstream>
heap_resource(Upstream*, heap) -> heap_resource<Upstream, threads::one>;
template <class Upstream, threads Threads>
heap_resource(Upstream*, heap_options<Threads>) -> heap_resource<Upstream, Threads>;

template <class Upstream, threads Threads>
class heap_resource<Upstream, Threads>::turn {
 public:
  explicit inline turn(mem::growth_for<Threads>& growth) noexcept : growth_(growth) {}
  inline ~turn() { growth_.end(succeeded_); }
  turn(const turn&) = delete;
  turn& operator=(const turn&) = delete;

  inline void succeeded() noexcept { succeeded_ = true; }

 private:
  mem::growth_for<Threads>& growth_;
  bool succeeded_ = false;
};

template <class Upstream, threads Threads>
heap_resource<Upstream, Threads>::~heap_resource() {
  const statistics figures = stats();
  if (options_.live_at_end_is_misuse && figures.live_blocks != 0) {
    this->report_live("destroyed with live blocks: their arenas are gone", figures);
  }
  release();
}

template <class Upstream, threads Threads>
statistics heap_resource<Upstream, Threads>::stats() const noexcept {
  const mem::look allowed;
  const mem::lock held(lock_);
  settle();
  const mem::heap_counters c = heap_.counters();
  statistics figures = ledger_.figures();
  figures.upstream = c.regions;
  figures.kept = c.free + c.kept;
  figures.overhead = c.used - figures.live + c.fences;
  return inspected_.over(figures);
}

template <class Upstream, threads Threads>
heap_figures heap_resource<Upstream, Threads>::counters() const noexcept {
  const mem::look allowed;
  const mem::lock held(lock_);
  settle();
  const mem::heap_counters c = heap_.counters();
  return {.arenas = c.regions,
          .used = c.used,
          .free = c.free + c.kept,
          .overhead = c.fences,
          .frees = ledger_.deallocations() + inspected_.waiting(),
          .frees_at_last_compaction = frees_at_last_compaction_,
          .compactions = compactions_};
}

template <class Upstream, threads Threads>
std::size_t heap_resource<Upstream, Threads>::degraded(std::span<degradation> out) const noexcept {
  const mem::os_error lock = lock_.unknown_to_fork();
  const mem::os_error cause = lock.failed() ? lock : growth_.unknown_to_fork();
  return tell({{"a lock is not known to fork(): a child forked while another thread allocates may hang; do not fork",
                cause, cause.failed() ? std::size_t{1} : 0}},
              out);
}

template <class Upstream, threads Threads>
fault heap_resource<Upstream, Threads>::check() const noexcept {
  {
    const mem::look allowed;
    const mem::lock held(lock_);
    if (damage_ != nullptr) return {damage_, nullptr};
    settle();
    const mem::heap_report report = heap_.check();
    if (report.fault != mem::heap_fault::none) return {mem::describe(report.fault), report.where};
    if (heap_.counters().used_blocks != ledger_.blocks())
      return {"blocks handed out and blocks in use differ", nullptr};
  }
  return base::check();
}

template <class Upstream, threads Threads>
fault heap_resource<Upstream, Threads>::check(const void* p) const noexcept {
  const mem::look allowed;
  const mem::lock held(lock_);
  if (damage_ != nullptr) return {damage_, nullptr};
  settle();
  if (p == nullptr) return {};
  const mem::heap_report found = heap_.check(p);
  return found.fault == mem::heap_fault::none ? fault{} : fault{mem::describe(found.fault), found.where};
}

template <class Upstream, threads Threads>
bool heap_resource<Upstream, Threads>::holds(const void* p) const noexcept {
  const mem::look allowed;
  const mem::lock held(lock_);
  settle();
  return heap_.inspect(p) == mem::heap_fault::none && inspected_.is_live(p);
}

template <class Upstream, threads Threads>
void heap_resource<Upstream, Threads>::walk(absl::FunctionRef<void(const mem::heap_block&)> visitor) const {
  const mem::look allowed;
  const mem::lock held(lock_);
  settle();
  heap_.walk(visitor);
}

template <class Upstream, threads Threads>
void heap_resource<Upstream, Threads>::dump(std::FILE* out) const {
  heap_dump lines(out, this->name());
  const mem::look allowed;
  const mem::lock held(lock_);
  settle();
  heap_.walk([&](const mem::region& r) { lines.add(r); }, [&](const mem::heap_block& b) { lines.add(b); });
}

template <class Upstream, threads Threads>
sized_block heap_resource<Upstream, Threads>::allocate_at_least(std::size_t bytes, std::size_t alignment) {
  void* const p = this->allocate(bytes, alignment);
  return {p, usable_size(p, bytes)};
}

template <class Upstream, threads Threads>
void* heap_resource<Upstream, Threads>::allocate_aligned(std::size_t bytes, std::size_t align, std::ptrdiff_t offset,
                                                         std::size_t span) {
  return obtain({kind::placed, bytes, align, offset, span});
}

template <class Upstream, threads Threads>
void* heap_resource<Upstream, Threads>::allocate_movable(std::size_t bytes, std::size_t alignment, block_owner& owner) {
  return obtain({.what = kind::movable, .bytes = bytes, .alignment = alignment, .subject = &owner});
}

template <class Upstream, threads Threads>
void heap_resource<Upstream, Threads>::set_owner(void* p, block_owner& owner) noexcept {
  const mem::look allowed;
  const mem::lock held(lock_);
  mem::heap_mover(heap_).set_owner(p, &owner);
}

template <class Upstream, threads Threads>
std::size_t heap_resource<Upstream, Threads>::usable_size(const void* p) const noexcept {
  const mem::look allowed;
  const mem::lock held(lock_);  // a neighbour that goes writes into the word that says so
  return mem::inspected() ? inspected_.bytes_at(p) : mem::boundary_heap::usable_size(p);
}

template <class Upstream, threads Threads>
std::size_t heap_resource<Upstream, Threads>::usable_size(void* p, std::size_t bytes) noexcept {
  const mem::look allowed;
  const mem::lock held(lock_);
  const std::size_t all = heap_.take_slack(p);
  ledger_.resized(bytes, all);
  if (mem::inspected()) inspected_.resize(p, all, all);
  return all;
}

template <class Upstream, threads Threads>
bool heap_resource<Upstream, Threads>::try_resize(void* p, std::size_t old_bytes, std::size_t bytes) noexcept {
  const mem::look allowed;
  const mem::lock held(lock_);
  if (damage_ != nullptr || !inspected_.is_live(p) || !heap_.resize(p, bytes)) return false;
  ledger_.resized(old_bytes, bytes);
  if (mem::inspected()) inspected_.resize(p, bytes, bytes);
  return true;
}

template <class Upstream, threads Threads>
std::size_t heap_resource<Upstream, Threads>::try_expand(void* p, std::size_t old_bytes, std::size_t least,
                                                         std::size_t most) noexcept {
  const mem::look allowed;
  const mem::lock held(lock_);
  const std::size_t bytes = std::min(most, heap_.room_at(p));
  if (damage_ != nullptr || bytes < least || !heap_.resize(p, bytes)) return old_bytes;
  ledger_.resized(old_bytes, bytes);
  if (mem::inspected()) inspected_.resize(p, bytes, bytes);
  return bytes;
}

template <class Upstream, threads Threads>
void* heap_resource<Upstream, Threads>::reallocate(void* p, std::size_t old_bytes, std::size_t bytes,
                                                   std::size_t alignment) {
  if (p == nullptr) return this->allocate(bytes, alignment);
  if (const fault found = check(p); found.found()) {
    panic({this->name(), found.sentence, p, old_bytes, alignment});
    return p;
  }
  if (mem::inspected()) return reallocate_inspected(p, old_bytes, bytes, alignment);
  return obtain({.what = kind::grown, .bytes = bytes, .alignment = alignment, .subject = p, .old_bytes = old_bytes});
}

template <class Upstream, threads Threads>
void heap_resource<Upstream, Threads>::release() noexcept {
  mem::region* r = nullptr;
  {
    const mem::look allowed;
    const mem::lock held(lock_);
    settle();
  }
  try {
    tell_found();
  } catch (...) {  // panic has been told, and nothing can be passed on from here
  }
  {
    const mem::look allowed;
    const mem::lock held(lock_);
    waiting_.fill({});
    found_count_ = 0;
    ledger_.released();
    damage_ = nullptr;
    detour_ = why_inspected();
    inspected_.forget_all();
    r = heap_.clear();
  }
  while (r != nullptr) {
    mem::region* const next = r->next;  // read before the arena is gone
    const std::size_t bytes = r->bytes;
    if (mem::inspected()) mem::show(r, bytes);
    grounds_.remove(r, bytes);
    upstream_->deallocate(r, bytes, arena_alignment);
    r = next;
  }
}

// Hands out what is free, or null.
template <class Upstream, threads Threads>
void* heap_resource<Upstream, Threads>::serve(const request& r) noexcept {
  void* p = nullptr;
  switch (r.what) {
    case kind::plain:
      p = heap_.allocate(r.bytes, r.alignment);
      break;
    case kind::placed:
      p = mem::heap_placer(heap_).allocate({r.bytes, r.alignment, r.offset, r.span});
      break;
    case kind::movable:
      p = mem::heap_mover(heap_).allocate(r.bytes, r.alignment, r.subject);
      break;
    case kind::grown:
      return regrow(r);
  }
  if (p != nullptr) ledger_.handed_out(r.bytes);
  return p;
}

template <class Upstream, threads Threads>
void* heap_resource<Upstream, Threads>::regrow(const request& r) noexcept {
  mem::heap_mover mover(heap_);
  void* p = mover.grow(r.subject, r.bytes, r.alignment);
  if (p == nullptr) {
    p = mover.is_movable(r.subject)
            ? mover.allocate(r.bytes, std::max(r.alignment, mover.alignment(r.subject)), mover.owner(r.subject))
            : heap_.allocate(r.bytes, r.alignment);
    if (p == nullptr) return nullptr;
    __builtin_memcpy(p, r.subject, std::min(r.old_bytes, r.bytes));
    (void)heap_.deallocate(r.subject);
  }
  ledger_.resized(r.old_bytes, r.bytes);
  return p;
}

// Bytes of an arena that is sure to serve the request; 0 when none can.
template <class Upstream, threads Threads>
std::size_t heap_resource<Upstream, Threads>::arena_for(const request& r) noexcept {
  switch (r.what) {
    case kind::plain:
      return heap_.region_bytes_for(r.bytes, r.alignment);
    case kind::placed:
      return mem::heap_placer(heap_).region_bytes_for({r.bytes, r.alignment, r.offset, r.span});
    case kind::movable:
      return arena_for_movable(r.bytes, r.alignment);
    case kind::grown:
      if (!mem::heap_mover::is_movable(r.subject)) return heap_.region_bytes_for(r.bytes, r.alignment);
      return arena_for_movable(r.bytes, std::max(r.alignment, mem::heap_mover::alignment(r.subject)));
  }
  return 0;
}

template <class Upstream, threads Threads>
void* heap_resource<Upstream, Threads>::obtain(const request& r) {
  return mem::inspected() ? obtain_inspected(r) : find_room(r);
}

// Placed and movable blocks come back with any alignment.
template <class Upstream, threads Threads>
void* heap_resource<Upstream, Threads>::obtain_inspected(const request& r) {
  mem::book_entry* const entry = inspected_.promise();
  if (entry == nullptr) fail(r, "no memory for what is to be known of the block");
  inspected_blocks::room room{.bytes = r.bytes};
  try {
    room.start = find_room(r);
  } catch (...) {
    inspected_.withdraw(entry);
    throw;
  }
  return inspected_.admit(entry, room, r.bytes, r.what == kind::plain ? r.alignment : inspected_blocks::any_alignment);
}

// A new block each time: the old one waits.
template <class Upstream, threads Threads>
void* heap_resource<Upstream, Threads>::reallocate_inspected(void* p, std::size_t old_bytes, std::size_t bytes,
                                                             std::size_t alignment) {
  request r{kind::plain, bytes, alignment};
  {
    const mem::look allowed;
    const mem::lock held(lock_);
    if (mem::heap_mover::is_movable(p)) {
      r.what = kind::movable;
      r.alignment = std::max(alignment, mem::heap_mover::alignment(p));
      r.subject = mem::heap_mover::owner(p);
    }
  }
  void* const q = obtain_inspected(r);
  __builtin_memcpy(q, p, std::min(old_bytes, bytes));
  deallocate_inspected({p, old_bytes, inspected_.alignment_at(p)});
  return q;
}

// Where the short way is closed.
template <class Upstream, threads Threads>
void heap_resource<Upstream, Threads>::take_detour(const given& block) {
  bool damaged = false;
  {
    const mem::lock held(lock_);
    damaged = damage_ != nullptr;
  }
  tell_found();
  damaged ? refuse(mem::heap_fault::not_a_block, block) : deallocate_inspected(block);
}

// A movable block does not wait: it would be moved meanwhile, and its owner told.
template <class Upstream, threads Threads>
void heap_resource<Upstream, Threads>::deallocate_inspected(const given& block) {
  const auto [at, bytes, alignment] = block;
  bool movable = false;
  if (inspected_.is_live(at)) {
    const mem::look allowed;
    const mem::lock held(lock_);
    movable = mem::heap_mover::is_movable(at);
  }
  const finding wrong =
      movable ? inspected_.take_for_good(at, bytes, alignment) : inspected_.take(at, bytes, alignment);
  if (wrong) return panic(inspected_.told(wrong, at, bytes, alignment));
  movable ? put(block) : give_back_due(inspected_blocks::most_held);
}

template <class Upstream, threads Threads>
void heap_resource<Upstream, Threads>::give_back_due(std::size_t more_than) {
  for (std::size_t left = inspected_.waiting(); left != 0; --left) {
    const inspected_blocks::room due = inspected_.next_due(more_than);
    if (due.start == nullptr) return;
    put({due.start, due.bytes, due.alignment});
  }
}

template <class Upstream, threads Threads>
void heap_resource<Upstream, Threads>::put(const given& room) {
  mem::heap_fault fault = mem::heap_fault::none;
  {
    const mem::look allowed;
    const mem::lock held(lock_);
    if (damage_ != nullptr) return;
    ledger_.taken_back(room.bytes);
    const auto freed = heap_.deallocate(room.at, room.bytes);
    fault = freed.fault;
    if (fault == mem::heap_fault::none && (freed.emptied == nullptr || !has_excess())) return;
    if (fault != mem::heap_fault::none) ledger_.not_taken_back(room.bytes);
  }
  if (fault != mem::heap_fault::none) return refuse(fault, room);
  give_back_excess();
}

template <class Upstream, threads Threads>
void* heap_resource<Upstream, Threads>::find_room(const request& r) {
  if (std::uint64_t now = 0; timer_.is_due(now)) tick(now);
  for (;;) {
    const mem::growth::moment seen = growth_.now();
    std::size_t needed = 0;
    {
      const mem::look allowed;
      const mem::lock held(lock_);
      settle();
      if (damage_ == nullptr) {
        if (void* const p = serve(r); p != nullptr) return p;
        needed = arena_for(r);
      }
    }
    tell_found();
    if (needed == 0) fail(r, why_not(r));
    if (inspected_.waiting() != 0) {  // before anybody is asked for more
      give_back_due(0);
      continue;
    }
    if (growth_.under_way(seen)) {
      if (growth_.is_mine()) {
        fail(r, "no free block will do, and this very thread is getting an arena or moving blocks");
      }
      (void)growth_.wait(seen);  // who failed may have wanted more than we do
    } else if (growth_.begin(seen)) {
      turn mine(growth_);
      void* const p = serve_by_all_means(r, needed);
      mine.succeeded();
      return p;
    }
  }
}

template <class Upstream, threads Threads>
void* heap_resource<Upstream, Threads>::serve_by_all_means(const request& r, std::size_t needed) {
  try {
    return serve_from_new_arena(r, needed);
  } catch (...) {
    void* p = nullptr;
    if (compact_in_turn() != 0) {
      const mem::look allowed;
      const mem::lock held(lock_);
      p = serve(r);
    }
    if (p != nullptr) return p;
    const mem::look allowed;
    const mem::lock held(lock_);
    ledger_.failed();
    throw;
  }
}

template <class Upstream, threads Threads>
void* heap_resource<Upstream, Threads>::serve_from_new_arena(const request& r, std::size_t needed) {
  // Empty arenas too small for this request make room for one that is not.
  while (!options_.may_hold(counters().arenas, needed)) {
    if (give_back(true) == 0) {
      throw allocation_error(this->name(), r.bytes, r.alignment,
                             "the heap would hold more than max_bytes from upstream");
    }
  }
  // What is asked for ahead may be too much where this request alone is not: then that.
  for (std::size_t arena = options_.next_arena(counters().arenas, needed);; arena = needed) {
    void* start = nullptr;
    try {
      start = upstream_->allocate(arena, arena_alignment);
    } catch (...) {
      if (arena != needed) continue;
      throw;
    }
    return add_and_serve(start, arena, r);
  }
}

// Neighbours stay what they are while merge is asked: arenas come and go in turns.
template <class Upstream, threads Threads>
void* heap_resource<Upstream, Threads>::add_and_serve(void* start, std::size_t bytes, const request& r) {
  grounds_.add(start, bytes);
  bool with_upper = false;
  bool with_lower = false;
  if (options_.merge != nullptr) {
    arena whole{start, bytes};
    arena upper{};
    arena lower{};
    {
      const mem::look allowed;
      const mem::lock held(lock_);
      const void* const end = mem::at<std::byte>(start, static_cast<std::ptrdiff_t>(bytes));
      if (const mem::region* const r_above = heap_.find_region(end); r_above == end) upper = {end, r_above->bytes};
      if (const mem::region* const r_below = heap_.find_region(mem::at<std::byte>(start, -1)); r_below != nullptr) {
        lower = {r_below, r_below->bytes};
      }
    }
    if (upper.start != nullptr && options_.merge(options_.argument, whole, upper)) {
      with_upper = true;
      whole.bytes += upper.bytes;
    }
    with_lower = lower.start != nullptr && options_.merge(options_.argument, lower, whole);
  }
  const mem::look allowed;
  const mem::lock held(lock_);
  if (mem::inspected()) mem::hide(mem::at<std::byte>(start, sizeof(mem::region)), bytes - sizeof(mem::region));
  heap_.add(start, bytes,
            [&](const mem::region& lower, const mem::region&) { return &lower == start ? with_upper : with_lower; });
  return serve(r);
}

template <class Upstream, threads Threads>
std::size_t heap_resource<Upstream, Threads>::compact() {
  if (growth_.is_mine()) return 0;
  mem::take_turn(growth_);
  turn mine(growth_);
  const std::size_t moved = compact_in_turn();
  mine.succeeded();
  return moved;
}

template <class Upstream, threads Threads>
bool heap_resource<Upstream, Threads>::start_compaction() noexcept {
  const mem::look allowed;
  const mem::lock held(lock_);
  settle();
  mem::heap_mover mover(heap_);
  // Where threads share the heap, whose turn it is says so; and a child of a fork has a turn of its own.
  if ((!thread_safe && compacting_) || still_.load(std::memory_order_acquire) != 0) return false;
  if (heap_.movable_blocks() == 0 || !mover.worthwhile()) return false;
  mover.start();
  ++compactions_;
  frees_at_last_compaction_ = ledger_.deallocations() + inspected_.waiting();
  return compacting_ = true;
}

template <class Upstream, threads Threads>
void heap_resource<Upstream, Threads>::end_compaction() noexcept {
  const mem::look allowed;
  const mem::lock held(lock_);
  compacting_ = false;
}

template <class Upstream, threads Threads>
mem::heap_step heap_resource<Upstream, Threads>::move_one(mem::heap_move& move) noexcept {
  const mem::look allowed;
  const mem::lock held(lock_);
  const mem::heap_step step = mem::heap_mover(heap_).step(move);
  if (mem::inspected() && step == mem::heap_step::moved) inspected_.move(move.from, move.to);
  return step;
}

template <class Upstream, threads Threads>
std::size_t heap_resource<Upstream, Threads>::compact_in_turn() {
  give_back_due(0);
  if (!start_compaction()) return 0;
  std::size_t moved = 0;
  try {
    mem::heap_move move;
    for (mem::heap_step step = move_one(move); step != mem::heap_step::done; step = move_one(move)) {
      if (step != mem::heap_step::moved) continue;
      ++moved;
      mem::expect_no_lock_held("the owner of a block that was moved");
      static_cast<block_owner*>(move.owner)->moved(move.from, move.to);
    }
  } catch (...) {
    end_compaction();
    throw;
  }
  end_compaction();
  return moved;
}

template <class Upstream, threads Threads>
void heap_resource<Upstream, Threads>::hold_still() noexcept {
  still_.fetch_add(1, std::memory_order_acq_rel);
  if (growth_.is_mine()) return;
  mem::take_turn(growth_);  // after a compaction that is under way
  growth_.end(true);
}

template <class Upstream, threads Threads>
std::size_t heap_resource<Upstream, Threads>::trim() noexcept {
  if (growth_.is_mine()) return 0;
  give_back_due(0);
  mem::take_turn(growth_);
  std::size_t bytes = 0;
  while (const std::size_t arena = give_back(true)) bytes += arena;
  {
    const mem::look allowed;
    const mem::lock held(lock_);
    if (damage_ == nullptr) heap_.discard_free();
  }
  growth_.end(true);
  return bytes;
}

template <class Upstream, threads Threads>
void heap_resource<Upstream, Threads>::give_back_excess() noexcept {
  // Somebody else's turn may be long; another block will empty an arena.
  const mem::growth::moment seen = growth_.now();
  if (growth_.under_way(seen) || !growth_.begin(seen)) return;
  while (give_back(false) != 0) continue;
  growth_.end(true);
  if (std::uint64_t time = 0; timer_.is_due(time)) tick(time);
}

template <class Upstream, threads Threads>
std::size_t heap_resource<Upstream, Threads>::tick(std::uint64_t now) noexcept {
  if (!timer_.is_on()) return 0;
  timer_.looked(now);
  const mem::growth::moment seen = growth_.now();
  if (growth_.under_way(seen) || !growth_.begin(seen)) return 0;
  std::size_t freed = 0;
  std::size_t joined = 0;
  std::size_t left = look(now, joined);
  while (const std::size_t arena = give_back_unused(left)) freed += arena;
  {
    const mem::lock held(lock_);
    decay_.gave(freed - std::min(freed, joined));
  }
  growth_.end(true);
  return freed;
}

// Bytes of empty arenas that may go. What becomes empty here, `joined` bytes that no look had seen, was of no use for as
// long as the blocks that waited.
template <class Upstream, threads Threads>
std::size_t heap_resource<Upstream, Threads>::look(std::uint64_t now, std::size_t& joined) noexcept {
  const mem::look allowed;
  const mem::lock held(lock_);
  if (damage_ != nullptr) return 0;
  const std::size_t empty = heap_.counters().empty;
  const std::size_t unused = decay_.look(now, heap_.take_low_empty(), empty);
  const std::size_t uses = ledger_.figures().allocations + ledger_.deallocations();
  if (!idle_.look(decay_.period(), now, uses != std::exchange(uses_seen_, uses))) return unused;
  settle();
  heap_.join_kept();
  joined = heap_.counters().empty - empty;
  return unused + joined;
}

// Gives an empty arena back that has at most `bytes`, which then are less by so many. Returns its bytes, or 0.
template <class Upstream, threads Threads>
std::size_t heap_resource<Upstream, Threads>::give_back_unused(std::size_t& bytes) noexcept {
  mem::region* arena = nullptr;
  std::size_t gone = 0;
  {
    const mem::look allowed;
    const mem::lock held(lock_);
    if (damage_ != nullptr) return 0;
    for (arena = heap_.empty_region(); arena != nullptr && arena->bytes > bytes;) arena = arena->next;
    if (arena == nullptr) return 0;
    gone = arena->bytes;
    heap_.remove(arena);
  }
  bytes -= gone;
  if (mem::inspected()) mem::show(arena, gone);
  grounds_.remove(arena, gone);
  upstream_->deallocate(arena, gone, arena_alignment);
  return gone;
}

// Gives an empty arena back, whether or not more are empty than may be kept. Returns its bytes; 0 when there was none.
template <class Upstream, threads Threads>
std::size_t heap_resource<Upstream, Threads>::give_back(bool all) noexcept {
  mem::region* arena = nullptr;
  std::size_t bytes = 0;
  {
    const mem::look allowed;
    const mem::lock held(lock_);
    if (damage_ != nullptr) return 0;
    if (all) {
      settle();
      heap_.join_kept();
    }
    arena = heap_.empty_region();
    if (arena == nullptr || !(all || has_excess())) return 0;
    bytes = arena->bytes;
    heap_.remove(arena);
  }
  if (mem::inspected()) mem::show(arena, bytes);
  grounds_.remove(arena, bytes);
  upstream_->deallocate(arena, bytes, arena_alignment);
  return bytes;
}

// Looks at the blocks that wait.
template <class Upstream, threads Threads>
void heap_resource<Upstream, Threads>::settle() const noexcept {
  if (damage_ != nullptr) return;
  for (given& block : waiting_) {
    if (block.at == nullptr) continue;
    const mem::heap_fault fault = heap_.deallocate(block.at, block.bytes).fault;
    if (fault != mem::heap_fault::none) {
      ledger_.not_taken_back(block.bytes);
      // Who settles again and again, and never tells, has told of the first ones then.
      if (found_count_ < found_.size()) found_[found_count_++] = {fault, block};
    }
    block = {};
  }
}

// Tells of what settle() found to be none of our blocks.
template <class Upstream, threads Threads>
void heap_resource<Upstream, Threads>::tell_found() {
  for (;;) {
    fault_of first{};
    {
      const mem::look allowed;
      const mem::lock held(lock_);
      if (found_count_ == 0) return;
      first = found_[--found_count_];
    }
    refuse(first.what, first.block);
  }
}

// Whether it lies in no arena, or another keeper lives there. Under an inspector that is looked at elsewhere. What is a
// block to look at may still be found to be none, later.
template <class Upstream, threads Threads>
bool heap_resource<Upstream, Threads>::is_anothers(const void* p) const noexcept {
  if (mem::inspected()) return false;
  if (grounds_.has_tenant(p)) return true;
  {
    const mem::lock held(lock_);
    if (damage_ != nullptr || heap_.inspect(p) == mem::heap_fault::none) return false;
    if (heap_.find_region(p) == nullptr) return true;
  }
  return static_cast<bool>(grounds_.whose(p));
}

// A pointer that is no block is a fault of the caller's or of the heap's: the heap says which.
template <class Upstream, threads Threads>
void heap_resource<Upstream, Threads>::refuse(mem::heap_fault fault, const given& block) {
  if (const finding other = grounds_.whose(block.at); other) {
    return panic(inspected_.told(other, block.at, block.bytes, block.alignment));
  }
  const char* sentence = mem::describe(fault);
  {
    const mem::look allowed;
    const mem::lock held(lock_);
    if (damage_ != nullptr) {
      sentence = "the heap was found damaged, and takes nothing back";
    } else if (fault == mem::heap_fault::not_a_block) {
      const mem::heap_report report = heap_.check();
      if (report.fault != mem::heap_fault::none) detour_ = damage_ = mem::describe(report.fault);
    }
  }
  panic({this->name(), sentence, block.at, block.bytes, block.alignment});
}

template <class Upstream, threads Threads>
void heap_resource<Upstream, Threads>::panic(const misuse& what) const {
  if (options_.panic == nullptr) return report_misuse(what);
  mem::expect_no_lock_held("who is told of a heap's faults");
  options_.panic(options_.argument, what);
}

// Why no arena would do.
template <class Upstream, threads Threads>
const char* heap_resource<Upstream, Threads>::why_not(const request& r) const noexcept {
  const mem::look allowed;
  const mem::lock held(lock_);
  if (damage_ != nullptr) return "the heap was found damaged, and serves nothing";
  if (r.what == kind::placed) return "no address has that residue with room for the block within a span";
  return "no block can be so large or so aligned";
}

template <class Upstream, threads Threads>
void heap_resource<Upstream, Threads>::fail(const request& r, const char* reason) {
  {
    const mem::look allowed;
    const mem::lock held(lock_);
    ledger_.failed();
  }
  throw allocation_error(this->name(), r.bytes, r.alignment, reason);
}

static_assert(layered<heap_resource<>>);

}  // namespace strata::pmr
