// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory_resource>
#include <span>
#include <type_traits>

export module strata.pmr:shadow_resource;

import :allocation_error;
import :layer;
import :ledger;
import :misuse;
import :report;
import :shadow_calls;
import :shadow_options;

import strata.mem;

/// Every block on virtual pages of its own, over physical pages that blocks share: once it is deallocated, whatever
/// pointer into it is left faults, at once and for long.
///
///   virtual   | a …   | … b   |  …c   | faults |       a page for each block, never two blocks on one
///                 \      |      /
///   physical      | a  b  c  free |                    slots side by side, as in any slab
///
/// Role           keeper: makes its memory itself, which the OS can map more than once (shared, without a name, sealed)
/// Upstream       borrowed, never null, outlives this object; serves what is not shadowed: blocks that one_in leaves out,
///                and those for which a budget is used up
/// Owns           its memory, its addresses, and what is known of each block, which outlives it
/// Thread safety  as upstream; shadowed blocks go through one lock
/// Alignment      what upstream honours; of shadowed blocks up to a zone, 64 MiB where pages have 4 KiB
/// Size           any; zero has a page of its own. Above 32 KiB a block has a mapping of its own
/// Complexity     shadowed: O(1), stacks of the caller, a system call for each slab of pages to allocate, and one to
///                deallocate or a share of one; else a few instructions plus upstream
/// Overhead       in memory at most a 25th of a block and its class's rounding; 16 bytes and a page table's entry for each
///                virtual page that is not free again
/// Throws         what upstream throws, for what it serves; nothing has changed. Constructed with options that cannot be:
///                std::invalid_argument; with `strict`, where the OS has no such memory: allocation_error
/// Deallocate     noexcept; size and alignment as allocated, else misuse, also a second time, inside a block, and where no
///                block is. Never fails: what the OS does not let fault is counted, and said by degraded()
/// Equality       identity
/// Fork           a child gets a copy of all shadowed blocks, made before the fork: its price is that of a copy. Without
///                memory for it, or as copy_at_fork says, its blocks fault in the child, and upstream serves what is new
/// Exit           destruction makes all blocks fault; live_at_end says whether live ones are misuse. Addresses serve
///                others when `reuse` says so
/// Signals        not for signal handlers; report_faults() prints in one
/// Composes       above keepers, outermost but for what counts or watches. Not over memory that is locked: its blocks
///                would not be, and what is locked cannot be guarded. Not under another keeper, which would hide its blocks
///
/// Decay: with `decay_ms` slabs of which no slot was taken for so long go back to the OS, and so do zones of addresses of
/// which none is mapped or in quarantine (:decay in mem/README.md says how that is found): at tick(), when a mirror is made,
/// and when the last block of a slab leaves.
///
/// An inspector (AddressSanitizer, memcheck) sees to the rest: of a block's pages all but the block is hidden.
///
/// A system call that is handed a dangling pointer answers EFAULT; nothing is reported. Sanitizers do not see that
/// two addresses are one storage. What a core dump or /proc counts by mapping counts shared pages many times.
export namespace strata::pmr {

template <class Upstream = std::pmr::memory_resource>
class shadow_resource final : public direct_layer<shadow_resource<Upstream>> {
  using base = direct_layer<shadow_resource<Upstream>>;

 public:
  using upstream_type = Upstream;
  static constexpr bool thread_safe = is_thread_safe_or_unknown<Upstream>;
  static constexpr std::size_t max_alignment = max_alignment_of<Upstream>;
  static constexpr bool zeroed = false;
  static constexpr bool can_release = false;
  static constexpr bool guards_pages = true;
  static constexpr bool shadows_blocks = true;

  static_assert(
      !requires { requires Upstream::locks_memory; },
      "strata::pmr::shadow_resource: what lies below is locked in RAM, and the blocks of a shadow would not be; leave "
      "one "
      "of them out");

  explicit shadow_resource(Upstream* upstream, const shadow& options = {})
      : base(options.name, upstream), upstream_(upstream), options_(options), calls_(options) {}

  ~shadow_resource() override {
    if (options_.live_at_end_is_misuse && calls_.stats().live_blocks != 0) {
      this->report_live("destroyed with live blocks: all of them fault from now on", calls_.stats());
    }
  }

  /// Whether a block at `p` is a shadowed one of this layer. May be asked of any pointer.
  [[nodiscard]] inline bool shadows(const void* p) const noexcept { return calls_.owns(p); }

  /// Makes ready for so many more blocks of a size: as long as nothing else comes between, allocating them makes no system
  /// call. Blocks above 32 KiB cannot be reserved, and are not refused. Throws allocation_error when a budget or the OS
  /// does not allow it; part of it may be there then.
  void reserve(std::size_t bytes, std::size_t blocks, std::size_t alignment = alignof(std::max_align_t)) {
    const mem::shadow_pool::served refused = calls_.reserve(bytes, alignment, blocks);
    if (refused.why != mem::shadow_refusal::none) {
      throw allocation_error(this->name(), bytes, alignment, "blocks cannot be made ready: a budget is used up",
                             refused.error);
    }
  }

  /// Makes what waits in a batch fault now. Returns how many blocks that were.
  std::size_t flush() noexcept { return calls_.flush(); }

  /// The same, then gives back the memory of slabs without blocks, and what is known of addresses that no block has and none
  /// had that is still in quarantine. Returns the bytes of memory.
  std::size_t trim() noexcept { return calls_.trim(); }

  /// Makes fault what has waited in a batch for `batch_ms`; with `decay_ms` gives back what nothing used so long, but slabs
  /// that were reserved. Returns the bytes of memory. O(slabs + zones), and system calls for what goes. `now` is what
  /// tick() reads, the monotonic clock in nanoseconds; a test may run ahead of it: until it has caught up, nothing is
  /// looked at without a tick.
  std::size_t tick(std::uint64_t now) noexcept { return calls_.tick(now); }
  std::size_t tick() noexcept { return tick(mem::monotonic_ns()); }

  /// Mappings, addresses, guards and what waits for them.
  [[nodiscard]] mem::shadow_figures figures() const noexcept { return calls_.figures(); }

  /// Of so many blocks one is shadowed; more than in the options when shadow_shortage::sampled had to.
  [[nodiscard]] std::size_t one_in() const noexcept { return calls_.one_in(); }
  /// Blocks that should have been shadowed and were not, since there was no room for them.
  [[nodiscard]] std::size_t unguarded() const noexcept { return calls_.unguarded(); }

  /// Blocks that upstream serves count as it counts them, where it is a layer: if that serves others as well, theirs are
  /// in. `peak` is at most the sum of both.
  [[nodiscard]] statistics stats() const noexcept override {
    statistics figures = calls_.stats();
    const statistics passed = passed_figures();
    figures.live += passed.live;
    figures.upstream += passed.live;
    figures.peak += passed.peak;
    figures.live_blocks += passed.live_blocks;
    figures.allocations += passed.allocations;
    figures.failures = passed.failures;
    return figures;
  }

  /// As copy_at_fork says.
  [[nodiscard]] fork_policy at_fork() const noexcept override {
    return options_.copy_at_fork ? base::at_fork() : std::max(base::at_fork(), fork_policy::wiped);
  }

  [[nodiscard]] fault check() const noexcept override {
    if (const char* const wrong = calls_.check(); wrong != nullptr) return {wrong, nullptr};
    return base::check();
  }

  [[nodiscard]] std::size_t degraded(std::span<degradation> out) const noexcept override {
    return calls_.degraded(out);
  }

 private:
  friend base;

  static constexpr bool upstream_counts = std::is_base_of_v<layer, Upstream>;
  struct nothing {
    static void handed_out(std::size_t) noexcept {}
    static void taken_back(std::size_t) noexcept {}
    static void failed() noexcept {}
  };
  using passed_ledger = std::conditional_t<upstream_counts, nothing, striped_ledger>;

  [[nodiscard]] statistics passed_figures() const noexcept {
    if constexpr (upstream_counts) {
      return upstream_->stats();
    } else {
      return passed_.figures();
    }
  }

  [[nodiscard]] inline void* do_allocate(std::size_t bytes, std::size_t alignment) override {
    if (calls_.skips()) [[likely]] {
      return pass(bytes, alignment);
    }
    return allocate_drawn(bytes, alignment);
  }

  inline void do_deallocate(void* p, std::size_t bytes, std::size_t alignment) override {
    if (calls_.concerns(p)) [[unlikely]] {
      deallocate_shadowed(p, bytes, alignment);
      return;
    }
    passed_.taken_back(bytes);
    upstream_->deallocate(p, bytes, alignment);
  }

  // Not inlined, and called last: what passes needs no registers of its own, and the stack of a block begins with who asked
  // for it.
  [[nodiscard, gnu::noinline]] void* allocate_drawn(std::size_t bytes, std::size_t alignment) {
    if (calls_.draw()) {
      void* const p = calls_.allocate(bytes, alignment, __builtin_return_address(0));
      if (p != nullptr) return p;
    }
    return pass(bytes, alignment);
  }
  [[gnu::noinline]] void deallocate_shadowed(void* p, std::size_t bytes, std::size_t alignment) {
    calls_.deallocate(p, bytes, alignment, __builtin_return_address(0));
  }

  [[nodiscard]] inline void* pass(std::size_t bytes, std::size_t alignment) {
    if constexpr (upstream_counts) {
      return upstream_->allocate(bytes, alignment);
    } else {
      return allocate_counted(bytes, alignment);
    }
  }
  [[nodiscard]] void* allocate_counted(std::size_t bytes, std::size_t alignment) {
    try {
      void* const p = upstream_->allocate(bytes, alignment);
      passed_.handed_out(bytes);
      return p;
    } catch (...) {
      passed_.failed();
      throw;
    }
  }

  Upstream* const upstream_;
  const shadow options_;
  shadow_calls calls_;
  [[no_unique_address]] passed_ledger passed_;
};

template <class Upstream>
shadow_resource(Upstream*) -> shadow_resource<Upstream>;
template <class Upstream>
shadow_resource(Upstream*, shadow) -> shadow_resource<Upstream>;

static_assert(layered<shadow_resource<>>);

}  // namespace strata::pmr
