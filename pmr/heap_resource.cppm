// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <memory_resource>
#include <span>
#include <utility>

#include "absl/functional/function_ref.h"

export module strata.pmr:heap_resource;

import :allocation_error;
import :finding;
import :grounds;
import :heap_arenas;
import :heap_blocks;
import :heap_compaction;
import :heap_dump;
import :heap_options;
import :heap_request;
import :inspected_blocks;
import :layer;
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
///                four deallocations later, or by whatever asks about the heap: `checks` has them looked at at once. In a
///                checked build a block of another keeper is told at once, by both names
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
        blocks_(options),
        arenas_(upstream, blocks_),
        compaction_(blocks_, arenas_.turns()) {}

  ~heap_resource() override;

  [[nodiscard]] statistics stats() const noexcept override { return blocks_.stats(); }
  [[nodiscard]] fork_policy at_fork() const noexcept override { return this->at_fork_with_books_in_upstream(); }
  [[nodiscard]] heap_figures counters() const noexcept { return blocks_.counters(); }
  [[nodiscard]] std::size_t degraded(std::span<degradation> out) const noexcept override;

  /// This heap, block by block, then what is below.
  [[nodiscard]] fault check() const noexcept override;
  /// One block, whatever `p` is: reads nothing but this heap's arenas. Null is fine. O(log arenas).
  [[nodiscard]] fault check(const void* p) const noexcept { return blocks_.check(p); }

  /// Whether `p` is a block of this heap, handed out and not taken back. Reads nothing but its arenas.
  [[nodiscard]] bool holds(const void* p) const noexcept { return blocks_.holds(p); }

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
  void set_owner(void* p, block_owner& owner) noexcept { blocks_.set_owner(p, owner); }

  /// Bytes that may be used at `p`, at least what was asked for. Pre: `p` is a live block of this heap.
  [[nodiscard]] std::size_t usable_size(const void* p) const noexcept { return blocks_.usable_size(p); }
  /// The same, and from now on that is the block's size: it is deallocated with what is returned. Pre: `p` was asked for
  /// with `bytes`.
  std::size_t usable_size(void* p, std::size_t bytes) noexcept { return blocks_.usable_size(p, bytes); }

  /// Makes the block at `p` hold `bytes` instead of `old_bytes` without moving it; false, nothing changed, when that
  /// cannot be done. It is then deallocated with the new size. Pre: `p` is a live block of this heap.
  [[nodiscard]] bool try_resize(void* p, std::size_t old_bytes, std::size_t bytes) noexcept {
    return blocks_.try_resize(p, old_bytes, bytes);
  }

  /// Makes the block at `p` hold as much as it can where it is, from `least` to `most` bytes. Returns what it holds, with
  /// which it is then deallocated; `old_bytes`, nothing changed, when that would be less than `least`. Pre: as
  /// try_resize(), old_bytes <= least <= most.
  [[nodiscard]] std::size_t try_expand(void* p, std::size_t old_bytes, std::size_t least, std::size_t most) noexcept {
    return blocks_.try_expand(p, old_bytes, least, most);
  }

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
    inline explicit stillness(heap_resource& heap) noexcept : heap_(heap) { heap_.compaction_.hold_still(); }
    inline ~stillness() { heap_.compaction_.may_move(); }
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
  std::size_t tick(std::uint64_t now) noexcept { return arenas_.tick(now); }
  std::size_t tick() noexcept { return arenas_.decays() ? tick(mem::monotonic_ns()) : 0; }

  /// Gives every arena back upstream; all blocks are void, and so is any damage. Pre: no other call is under way.
  void release() noexcept;

 private:
  friend base;

  using blocks = heap_blocks<Threads>;
  using taken = typename blocks::taken;

  [[nodiscard]] inline void* do_allocate(std::size_t bytes, std::size_t alignment) override {
    if constexpr (!mem::has_address_sanitizer) {
      if (void* const p = blocks_.allocate(bytes, alignment); p != nullptr) [[likely]] {
        return p;
      }
    }
    return obtain({.bytes = bytes, .alignment = alignment});
  }

  inline void do_deallocate(void* p, std::size_t bytes, std::size_t alignment) override {
    given_block due{p, bytes, alignment};
    if constexpr (mem::has_address_sanitizer) {
      take_detour(due);
    } else {
      if constexpr (mem::checked) {
        if (is_anothers(p)) return refuse(mem::heap_fault::not_a_block, due);
      }
      typename blocks::verdict verdict;
      if (!blocks_.deallocate(due, arenas_.decays(), verdict)) [[unlikely]] {
        after(verdict, due);
      }
    }
  }

  [[gnu::noinline]] void after(typename blocks::verdict verdict, const given_block& block);
  [[gnu::noinline]] void take_detour(const given_block& block);
  void deallocate_inspected(const given_block& block);
  [[nodiscard]] inline auto as_put() noexcept {
    return [this](const inspected_blocks::room& due) { put({due.start, due.bytes, due.alignment}); };
  }
  void put(const given_block& room);
  [[nodiscard]] void* obtain(const heap_request& r);
  [[nodiscard]] void* obtain_inspected(const heap_request& r);
  [[nodiscard]] void* reallocate_inspected(void* p, std::size_t old_bytes, std::size_t bytes, std::size_t alignment);
  [[nodiscard]] void* find_room(const heap_request& r);
  [[nodiscard]] void* serve_by_all_means(const heap_request& r, std::size_t needed);
  std::size_t compact_in_turn();
  void tell_wrong();
  [[nodiscard]] bool is_anothers(const void* p) const noexcept;
  void refuse(mem::heap_fault fault, const given_block& block);
  void panic(const misuse& what) const;
  [[noreturn]] void fail(const heap_request& r, const char* reason);
  [[nodiscard]] inline inspected_blocks& inspection() noexcept { return blocks_.inspection(); }

  blocks blocks_;
  heap_arenas<Upstream, Threads> arenas_;  ///< they come and go, and blocks move, in its turns
  heap_compaction<Threads> compaction_;
};

template <class Upstream>
heap_resource(Upstream*) -> heap_resource<Upstream, threads::one>;
template <class Upstream>
heap_resource(Upstream*, heap) -> heap_resource<Upstream, threads::one>;
template <class Upstream, threads Threads>
heap_resource(Upstream*, heap_options<Threads>) -> heap_resource<Upstream, Threads>;

template <class Upstream, threads Threads>
heap_resource<Upstream, Threads>::~heap_resource() {
  const statistics figures = stats();
  if (blocks_.options().live_at_end_is_misuse && figures.live_blocks != 0) {
    this->report_live("destroyed with live blocks: their arenas are gone", figures);
  }
  release();
}

template <class Upstream, threads Threads>
std::size_t heap_resource<Upstream, Threads>::degraded(std::span<degradation> out) const noexcept {
  const mem::os_error lock = blocks_.unknown_to_fork();
  const mem::os_error cause = lock.failed() ? lock : arenas_.turns().unknown_to_fork();
  return tell({{"a lock is not known to fork(): a child forked while another thread allocates may hang; do not fork",
                cause, cause.failed() ? std::size_t{1} : 0}},
              out);
}

template <class Upstream, threads Threads>
fault heap_resource<Upstream, Threads>::check() const noexcept {
  const fault here = blocks_.check();
  return here.found() ? here : base::check();
}

template <class Upstream, threads Threads>
void heap_resource<Upstream, Threads>::walk(absl::FunctionRef<void(const mem::heap_block&)> visitor) const {
  blocks_.walk([](const mem::region&) {}, visitor);
}

template <class Upstream, threads Threads>
void heap_resource<Upstream, Threads>::dump(std::FILE* out) const {
  heap_dump lines(out, this->name());
  blocks_.walk([&](const mem::region& r) { lines.add(r); }, [&](const mem::heap_block& b) { lines.add(b); });
}

template <class Upstream, threads Threads>
sized_block heap_resource<Upstream, Threads>::allocate_at_least(std::size_t bytes, std::size_t alignment) {
  void* const p = this->allocate(bytes, alignment);
  return {p, usable_size(p, bytes)};
}

template <class Upstream, threads Threads>
void* heap_resource<Upstream, Threads>::allocate_aligned(std::size_t bytes, std::size_t align, std::ptrdiff_t offset,
                                                         std::size_t span) {
  return obtain({heap_request::kind::placed, bytes, align, offset, span});
}

template <class Upstream, threads Threads>
void* heap_resource<Upstream, Threads>::allocate_movable(std::size_t bytes, std::size_t alignment, block_owner& owner) {
  return obtain({.what = heap_request::kind::movable, .bytes = bytes, .alignment = alignment, .subject = &owner});
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
  return obtain({.what = heap_request::kind::grown,
                 .bytes = bytes,
                 .alignment = alignment,
                 .subject = p,
                 .old_bytes = old_bytes});
}

template <class Upstream, threads Threads>
std::size_t heap_resource<Upstream, Threads>::compact() {
  if (arenas_.turns().is_mine()) return 0;
  mem::take_turn(arenas_.turns());
  heap_turn<Threads> mine(arenas_.turns());
  const std::size_t moved = compact_in_turn();
  mine.succeeded();
  return moved;
}

template <class Upstream, threads Threads>
std::size_t heap_resource<Upstream, Threads>::compact_in_turn() {
  inspection().give_due(as_put(), 0);
  return compaction_.run();
}

template <class Upstream, threads Threads>
std::size_t heap_resource<Upstream, Threads>::trim() noexcept {
  if (arenas_.turns().is_mine()) return 0;
  inspection().give_due(as_put(), 0);
  return arenas_.trim();
}

template <class Upstream, threads Threads>
void heap_resource<Upstream, Threads>::release() noexcept {
  blocks_.settle_all();
  try {
    tell_wrong();
  } catch (...) {  // NOLINT(bugprone-empty-catch): panic has been told, and nothing can be passed on from here
  }
  arenas_.release();
}

// What is not as short as it mostly is.
template <class Upstream, threads Threads>
void heap_resource<Upstream, Threads>::after(typename blocks::verdict verdict, const given_block& block) {
  if (verdict.is == taken::detour) return take_detour(block);
  tell_wrong();
  if (verdict.is == taken::wrongly) return refuse(verdict.fault, block);
  arenas_.give_back_excess();
}

// Where the short way is closed.
template <class Upstream, threads Threads>
void heap_resource<Upstream, Threads>::take_detour(const given_block& block) {
  const bool damaged = blocks_.is_damaged();
  tell_wrong();
  damaged ? refuse(mem::heap_fault::not_a_block, block) : deallocate_inspected(block);
}

// A movable block does not wait: it would be moved meanwhile, and its owner told.
template <class Upstream, threads Threads>
void heap_resource<Upstream, Threads>::deallocate_inspected(const given_block& block) {
  const auto [at, bytes, alignment] = block;
  const bool movable = inspection().is_live(at) && blocks_.is_movable(at);
  const finding wrong =
      movable ? inspection().take_for_good(at, bytes, alignment) : inspection().take(at, bytes, alignment);
  if (wrong) return panic(inspection().told(wrong, at, bytes, alignment));
  movable ? put(block) : inspection().give_due(as_put());
}

template <class Upstream, threads Threads>
void heap_resource<Upstream, Threads>::put(const given_block& room) {
  const auto verdict = blocks_.put(room);
  if (verdict.is == taken::wrongly) return refuse(verdict.fault, room);
  if (verdict.is == taken::emptied) arenas_.give_back_excess();
}

template <class Upstream, threads Threads>
void* heap_resource<Upstream, Threads>::obtain(const heap_request& r) {
  return mem::inspected() ? obtain_inspected(r) : find_room(r);
}

// Placed and movable blocks come back with any alignment.
template <class Upstream, threads Threads>
void* heap_resource<Upstream, Threads>::obtain_inspected(const heap_request& r) {
  const std::size_t alignment = r.what == heap_request::kind::plain ? r.alignment : inspected_blocks::any_alignment;
  const auto find = [&](inspected_blocks::room& in) { in.start = find_room(r); };
  void* const block = inspection().hand_out({.bytes = r.bytes}, r.bytes, alignment, find, as_put());
  if (block == nullptr) fail(r, "no memory for what is to be known of the block");
  return block;
}

// A new block each time: the old one waits.
template <class Upstream, threads Threads>
void* heap_resource<Upstream, Threads>::reallocate_inspected(void* p, std::size_t old_bytes, std::size_t bytes,
                                                             std::size_t alignment) {
  void* const q = obtain_inspected(blocks_.like(p, bytes, alignment));
  __builtin_memcpy(q, p, std::min(old_bytes, bytes));
  deallocate_inspected({p, old_bytes, inspection().alignment_at(p)});
  return q;
}

template <class Upstream, threads Threads>
void* heap_resource<Upstream, Threads>::find_room(const heap_request& r) {
  arenas_.tick_if_due();
  mem::growth_for<Threads>& turns = arenas_.turns();
  for (;;) {
    const mem::growth::moment seen = turns.now();
    const auto answer = blocks_.serve(r);
    if (answer.block != nullptr) return answer.block;
    tell_wrong();
    if (answer.region_bytes == 0) fail(r, blocks_.why_none(r));
    if (inspection().waiting() != 0) {  // before anybody is asked for more
      inspection().give_due(as_put(), 0);
      continue;
    }
    if (turns.under_way(seen)) {
      if (turns.is_mine()) {
        fail(r, "no free block will do, and this very thread is getting an arena or moving blocks");
      }
      (void)turns.wait(seen);  // who failed may have wanted more than we do
    } else if (turns.begin(seen)) {
      heap_turn<Threads> mine(turns);
      void* const p = serve_by_all_means(r, answer.region_bytes);
      mine.succeeded();
      return p;
    }
  }
}

template <class Upstream, threads Threads>
void* heap_resource<Upstream, Threads>::serve_by_all_means(const heap_request& r, std::size_t needed) {
  try {
    return arenas_.serve_from_new(r, needed);
  } catch (...) {
    void* const p = compact_in_turn() != 0 ? blocks_.serve(r).block : nullptr;
    if (p != nullptr) return p;
    blocks_.failed();
    throw;
  }
}

// Tells of what waited and was found to be none of our blocks.
template <class Upstream, threads Threads>
void heap_resource<Upstream, Threads>::tell_wrong() {
  for (;;) {
    const wrong_block next = blocks_.next_wrong();
    if (next.fault == mem::heap_fault::none) return;
    refuse(next.fault, next.block);
  }
}

// Whether it lies in no arena, or another keeper lives there. Under an inspector that is looked at elsewhere.
template <class Upstream, threads Threads>
bool heap_resource<Upstream, Threads>::is_anothers(const void* p) const noexcept {
  if (mem::inspected()) return false;
  if (arenas_.holdings().has_tenant(p)) return true;
  switch (blocks_.look_at(p)) {
    case blocks::sight::block:
      return false;
    case blocks::sight::arena:
      return static_cast<bool>(arenas_.holdings().whose(p));
    case blocks::sight::elsewhere:
      break;
  }
  return true;
}

template <class Upstream, threads Threads>
void heap_resource<Upstream, Threads>::refuse(mem::heap_fault fault, const given_block& block) {
  if (const finding other = arenas_.holdings().whose(block.at); other) {
    return panic(inspection().told(other, block.at, block.bytes, block.alignment));
  }
  panic({this->name(), blocks_.judge(fault), block.at, block.bytes, block.alignment});
}

template <class Upstream, threads Threads>
void heap_resource<Upstream, Threads>::panic(const misuse& what) const {
  if (blocks_.options().panic == nullptr) return report_misuse(what);
  mem::expect_no_lock_held("who is told of a heap's faults");
  blocks_.options().panic(blocks_.options().argument, what);
}

template <class Upstream, threads Threads>
void heap_resource<Upstream, Threads>::fail(const heap_request& r, const char* reason) {
  blocks_.failed();
  throw allocation_error(this->name(), r.bytes, r.alignment, reason);
}

static_assert(layered<heap_resource<>>);

}  // namespace strata::pmr
