// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <cstdint>

export module strata.pmr:heap_arenas;

import :allocation_error;
import :grounds;
import :heap_blocks;
import :heap_options;
import :heap_request;

import strata.mem;

/// Where the arenas of a heap come from and when they go back: all that is asked of its upstream, in turns, with no lock
/// held.
///
/// An arena goes back as it came: in one piece with its size, or with all it was merged of. Giving back does not throw;
/// serve_from_new() throws what upstream throws.
namespace strata::pmr {

/// The caller's turn, which begin() gave; failed unless it succeeded.
template <threads Threads>
class heap_turn {
 public:
  explicit inline heap_turn(mem::growth_for<Threads>& turns) noexcept : turns_(turns) {}
  inline ~heap_turn() { turns_.end(succeeded_); }
  heap_turn(const heap_turn&) = delete;
  heap_turn& operator=(const heap_turn&) = delete;

  inline void succeeded() noexcept { succeeded_ = true; }

 private:
  mem::growth_for<Threads>& turns_;
  bool succeeded_ = false;
};

template <class Upstream, threads Threads>
class heap_arenas {
 public:
  // An arena starts as aligned as any object; asking for pages is upstream's affair.
  static constexpr std::size_t alignment = alignof(std::max_align_t);

  inline heap_arenas(Upstream* upstream, heap_blocks<Threads>& blocks) noexcept
      : upstream_(upstream),
        blocks_(blocks),
        timer_(mem::decay_period(blocks.options().decay_ms)),
        grounds_(blocks.options().name) {}
  heap_arenas(const heap_arenas&) = delete;
  heap_arenas& operator=(const heap_arenas&) = delete;

  /// The right to make the heap grow, shrink and move: one thread has it at a time.
  [[nodiscard]] inline mem::growth_for<Threads>& turns() noexcept { return turns_; }
  [[nodiscard]] inline const mem::growth_for<Threads>& turns() const noexcept { return turns_; }

  /// A block from an arena of at least so many bytes. Never null. Pre: in the caller's turn.
  [[nodiscard]] void* serve_from_new(const heap_request& r, std::size_t needed);

  /// The rest takes a turn of its own.
  /// All that are empty go, and what is free in others. Pre: no turn is the caller's.
  std::size_t trim() noexcept;
  /// Those beyond the hysteresis go, unless it is somebody's turn.
  void give_back_excess() noexcept;
  /// Those that were of no use for the decay go, likewise.
  std::size_t tick(std::uint64_t now) noexcept;
  inline void tick_if_due() noexcept {
    if (std::uint64_t now = 0; timer_.is_due(now)) tick(now);
  }
  /// What it has of upstream, by which it is known to others.
  [[nodiscard]] inline const grounds& holdings() const noexcept { return grounds_; }
  [[nodiscard]] inline bool decays() const noexcept { return timer_.is_on(); }
  /// All go, with all blocks.
  void release() noexcept;

 private:
  using leaving = typename heap_blocks<Threads>::leaving;

  [[nodiscard]] void* allocate(std::size_t& bytes, std::size_t needed);
  std::size_t give_back(const leaving& arena) noexcept;

  Upstream* const upstream_;
  heap_blocks<Threads>& blocks_;
  mem::growth_for<Threads> turns_;
  mem::decay_timer<Threads> timer_;
  grounds grounds_;
};

// Neighbours stay what they are while merge is asked: arenas come and go in turns.
template <class Upstream, threads Threads>
void* heap_arenas<Upstream, Threads>::serve_from_new(const heap_request& r, std::size_t needed) {
  const heap_options<Threads>& options = blocks_.options();
  // Empty arenas too small for this request make room for one that is not.
  while (!options.may_hold(blocks_.arena_bytes(), needed)) {
    if (give_back(blocks_.remove_empty()) == 0) {
      throw allocation_error(options.name, r.bytes, r.alignment,
                             "the heap would hold more than max_bytes from upstream");
    }
  }
  std::size_t bytes = options.next_arena(blocks_.arena_bytes(), needed);
  void* const start = allocate(bytes, needed);
  grounds_.add(start, bytes);
  bool with_upper = false;
  bool with_lower = false;
  if (options.merge != nullptr) {
    arena whole{start, bytes};
    const auto [lower, upper] = blocks_.neighbours_of(whole);
    if (upper.start != nullptr && options.merge(options.argument, whole, upper)) {
      with_upper = true;
      whole.bytes += upper.bytes;
    }
    with_lower = lower.start != nullptr && options.merge(options.argument, lower, whole);
  }
  return blocks_.add(start, bytes, with_lower, with_upper, r);
}

// What is asked for ahead may be too much where the request alone is not: then that.
template <class Upstream, threads Threads>
void* heap_arenas<Upstream, Threads>::allocate(std::size_t& bytes, std::size_t needed) {
  if (bytes != needed) {
    try {
      return upstream_->allocate(bytes, alignment);
    } catch (...) {
      bytes = needed;
    }
  }
  return upstream_->allocate(bytes, alignment);
}

// Returns its bytes; 0 when there is none.
template <class Upstream, threads Threads>
std::size_t heap_arenas<Upstream, Threads>::give_back(const leaving& arena) noexcept {
  if (arena.start == nullptr) return 0;
  grounds_.remove(arena.start, arena.bytes);
  upstream_->deallocate(arena.start, arena.bytes, alignment);
  return arena.bytes;
}

template <class Upstream, threads Threads>
std::size_t heap_arenas<Upstream, Threads>::trim() noexcept {
  mem::take_turn(turns_);
  std::size_t bytes = 0;
  while (const std::size_t gone = give_back(blocks_.remove_empty())) bytes += gone;
  blocks_.discard_free();
  turns_.end(true);
  return bytes;
}

// Somebody else's turn may be long; another block will empty an arena.
template <class Upstream, threads Threads>
void heap_arenas<Upstream, Threads>::give_back_excess() noexcept {
  const mem::growth::moment seen = turns_.now();
  if (turns_.under_way(seen) || !turns_.begin(seen)) return;
  while (give_back(blocks_.remove_excess()) != 0) continue;
  turns_.end(true);
  tick_if_due();
}

template <class Upstream, threads Threads>
std::size_t heap_arenas<Upstream, Threads>::tick(std::uint64_t now) noexcept {
  if (!timer_.is_on()) return 0;
  timer_.looked(now);
  const mem::growth::moment seen = turns_.now();
  if (turns_.under_way(seen) || !turns_.begin(seen)) return 0;
  std::size_t freed = 0;
  const std::size_t unused = blocks_.unused(now);
  while (const std::size_t gone = give_back(blocks_.remove_empty(unused - freed))) freed += gone;
  blocks_.gave(freed);
  turns_.end(true);
  return freed;
}

template <class Upstream, threads Threads>
void heap_arenas<Upstream, Threads>::release() noexcept {
  for (mem::region* r = blocks_.clear(); r != nullptr;) {
    mem::region* const next = r->next;  // read before the arena is gone
    const leaving gone{r, r->bytes};
    if (mem::inspected()) mem::show(gone.start, gone.bytes);
    give_back(gone);
    r = next;
  }
}

}  // namespace strata::pmr
