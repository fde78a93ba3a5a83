// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <cstdint>
#include <memory_resource>
#include <span>
#include <type_traits>

export module strata.pmr:guard_adaptor;

import :layer;
import :ledger;
import :misuse;
import :refusals;
import :report;

import strata.mem;

/// Inaccessible pages beside every block, or beside one in N: what is written or read beyond an end faults there, at the
/// very instruction.
///
///   | guard | … fill | block …… | fill | guard |      whole pages; the block ends at its guard as far as its alignment
///                                                     lets it, or begins at it
///
/// Role           adaptor: bytes pass through; those of guarded blocks come as whole pages
/// Upstream       borrowed, never null, outlives this object; its memory is not locked
/// Owns           guards of live blocks, blocks that are held, and what is known of them, in memory from the OS
/// Thread safety  as upstream. No lock is held while upstream or a handler is called
/// Alignment      what upstream honours
/// Size           any; one of zero bytes lies on its guard, where it has one behind it
/// Complexity     a guarded block: a system call a guard, one when it goes, one more when it is held; page faults; O(1)
///                look-up. One that is not: a few instructions, and deallocating one load, or for one that shares a hash
///                with a guarded block (n live ones: n in 1024) a lock and a look-up
/// Overhead       guarded: two pages and the rounding to pages, or twice an alignment above a page, and some 140 bytes;
///                4 KiB in this object. No mapping where the kernel has guards (Linux 6.13, for shared segments 6.15);
///                else up to four each, within a budget
/// Throws         what upstream throws; when strict, allocation_error for what cannot be guarded. Nothing has changed.
///                Constructed with options that cannot be: std::invalid_argument
/// Deallocate     noexcept; of a guarded block another size, another alignment, a second deallocation while it is held,
///                and bytes written beside it short of a guard are misuse, and leave it as it was. Where every block is
///                guarded, so is a pointer of no block
/// Equality       identity
/// Fork           a child has the same guards, on its own copy of the memory
/// Exit           destruction lets go of what is held, and lifts the guards of live blocks, which stay with upstream
/// Signals        not for signal handlers. A guard that is touched is SIGSEGV; a system call given its address, EFAULT
/// Composes       above whatever can align to pages, so that whole pages come cheaply: pages{}, fragments{}. Not above
///                locked{}: the kernel does not guard locked pages
///
/// Unless strict, a block that cannot be guarded is handed out all the same: degraded() says why, and how often.
export namespace strata::pmr {

template <class Upstream>
class guard_adaptor;

/// Which end of a block touches its guard, as far as alignment lets it.
using guard_edge = mem::guard_edge;

/// A guard_adaptor in a stack: its options.
struct guards {
  template <class Upstream>
  using layer_over = guard_adaptor<Upstream>;

  const char* name = "guards";         ///< in reports and errors; outlives the layer
  bool before = true;                  ///< a guard in front of each block
  bool after = true;                   ///< one behind it; at least one of the two
  guard_edge tight = guard_edge::end;  ///< end: overruns fault at the first byte; start: underruns do
  std::size_t one_in = 1;              ///< of so many blocks one is guarded, at random
  std::size_t hold_bytes = 0;          ///< of deallocated blocks kept inaccessible, guards included, so that who
                                       ///< uses them still faults; they cost addresses and upstream's room, not
                                       ///< memory. 0: none
  std::size_t max_mappings = 0;        ///< where guards cost mappings: most in use for them, by all such layers of
                                       ///< the process; 0: a quarter of what a process may have
  bool strict = false;                 ///< what cannot be guarded is an exception, and not a degraded state
  bool live_at_end_is_misuse = false;  ///< report guarded blocks that are alive at destruction
};

}  // namespace strata::pmr

namespace strata::pmr {

// What of guarding does not depend on the upstream's type.
template <mem::threads Threads>
class guard_keeper {
 public:
  guard_keeper(const guards& options, std::pmr::memory_resource* upstream);
  ~guard_keeper();
  guard_keeper(const guard_keeper&) = delete;
  guard_keeper& operator=(const guard_keeper&) = delete;

  [[nodiscard]] inline bool draws() noexcept { return sampler_.draws(); }
  [[nodiscard]] inline bool may_know(const void* p) const noexcept { return blocks_.may_know(p); }

  // A guarded block; null: upstream is to serve it as it is.
  [[nodiscard]] void* allocate(std::size_t bytes, std::size_t alignment);

  enum class answer : std::uint8_t {
    unknown,  ///< it is no guarded block
    done,
    refused,  ///< it was misuse, and has been reported
  };
  [[nodiscard]] answer deallocate(void* p, std::size_t bytes, std::size_t alignment) noexcept;

  // Where every block is to be guarded, those that are not are counted: without any, a pointer that is no guarded block is
  // no block.
  inline void note_passed() noexcept {
    if (sampler_.one_in() == 1) passed_.add(1);
  }
  [[nodiscard]] inline bool take_passed() noexcept {
    if (sampler_.one_in() != 1) return true;
    if (passed_.get() == 0) return false;
    passed_.subtract(1);
    return true;
  }
  void report_foreign(void* p, std::size_t bytes, std::size_t alignment) const noexcept;

  std::size_t trim() noexcept;
  [[nodiscard]] bool is_guarded(const void* p) const noexcept { return blocks_.is_guarded(p); }
  [[nodiscard]] std::size_t unguarded() const noexcept;
  [[nodiscard]] mem::guarded_figures figures() const noexcept { return blocks_.figures(); }
  [[nodiscard]] fault check() const noexcept;
  [[nodiscard]] std::size_t degraded(std::span<degradation> out) const noexcept;

 private:
  using blocks = mem::guarded_blocks<Threads>;

  [[nodiscard]] void* obtain(mem::book_entry* entry, const mem::guard_shape& size);
  void* pass(refusals& why, mem::os_error cause, std::size_t bytes, std::size_t alignment, const char* reason);
  void give_back(const typename blocks::departure& gone) noexcept;

  const guards options_;
  std::pmr::memory_resource* const upstream_;
  mem::sampler<Threads> sampler_;
  blocks blocks_;
  mem::tally<Threads> passed_;
  refusals by_budget_;  ///< of mappings
  refusals by_os_;
  refusals by_upstream_;  ///< it has no room for whole pages
  refusals without_book_;
  refusals stranded_;
};

}  // namespace strata::pmr

export namespace strata::pmr {

template <class Upstream = std::pmr::memory_resource>
class guard_adaptor final : public direct_layer<guard_adaptor<Upstream>> {
  using base = direct_layer<guard_adaptor<Upstream>>;

 public:
  using upstream_type = Upstream;
  static constexpr bool thread_safe = is_thread_safe_or_unknown<Upstream>;
  static constexpr std::size_t max_alignment = max_alignment_of<Upstream>;
  static constexpr bool zeroed = zeroed_by<Upstream>;
  static constexpr bool can_release = false;
  static constexpr bool guards_pages = true;

  static_assert(
      !requires { requires Upstream::locks_memory; },
      "strata::pmr::guard_adaptor: what lies below is locked in RAM, and the kernel does not guard locked pages; leave "
      "one "
      "of them out");
  static_assert(
      !requires { requires Upstream::guards_pages; },
      "strata::pmr::guard_adaptor: what lies below is guarded already; leave one of them out");
  static_assert(max_alignment >= 4096,
                "strata::pmr::guard_adaptor: what lies below cannot align to pages; put guards{} below it");

  explicit guard_adaptor(Upstream* upstream, const guards& options = {})
      : base(options.name, upstream), upstream_(upstream), keeper_(options, upstream) {}

  /// Whether a block begins at `p` that has all its guards.
  [[nodiscard]] bool is_guarded(const void* p) const noexcept { return keeper_.is_guarded(p); }

  /// Blocks that should have been guarded and were not, or on one side only.
  [[nodiscard]] std::size_t unguarded() const noexcept { return keeper_.unguarded(); }

  /// Lets go of what is held. Returns the bytes that went back upstream.
  std::size_t trim() noexcept { return keeper_.trim(); }

  [[nodiscard]] statistics stats() const noexcept override {
    statistics figures = ledger_.figures();
    const mem::guarded_figures guarded = keeper_.figures();
    figures.kept = guarded.held;
    figures.overhead = guarded.whole - guarded.bytes;
    figures.upstream = figures.live + figures.kept + figures.overhead;
    return figures;
  }

  /// What is beside every guarded block, and what is known of them; then what is below.
  [[nodiscard]] fault check() const noexcept override {
    if (const fault found = keeper_.check(); found.found()) return found;
    return base::check();
  }

  [[nodiscard]] std::size_t degraded(std::span<degradation> out) const noexcept override {
    return keeper_.degraded(out);
  }

 private:
  friend base;

  static constexpr mem::threads threads = thread_safe ? mem::threads::any : mem::threads::one;
  using keeper = guard_keeper<threads>;
  using books = std::conditional_t<thread_safe, striped_ledger, ledger>;

  [[nodiscard]] inline void* do_allocate(std::size_t bytes, std::size_t alignment) override {
    void* p = nullptr;
    try {
      if (keeper_.draws()) [[unlikely]] {
        p = keeper_.allocate(bytes, alignment);
      }
      if (p == nullptr) {
        p = upstream_->allocate(bytes, alignment);
        keeper_.note_passed();
      }
    } catch (...) {
      ledger_.failed();
      throw;
    }
    ledger_.handed_out(bytes);
    return p;
  }

  inline void do_deallocate(void* p, std::size_t bytes, std::size_t alignment) override {
    if (keeper_.may_know(p)) [[unlikely]] {
      const typename keeper::answer answer = keeper_.deallocate(p, bytes, alignment);
      if (answer == keeper::answer::done) ledger_.taken_back(bytes);
      if (answer != keeper::answer::unknown) return;
    }
    if (!keeper_.take_passed()) [[unlikely]] {
      return keeper_.report_foreign(p, bytes, alignment);
    }
    ledger_.taken_back(bytes);
    upstream_->deallocate(p, bytes, alignment);
  }

  Upstream* const upstream_;
  keeper keeper_;
  books ledger_;
};

template <class Upstream>
guard_adaptor(Upstream*) -> guard_adaptor<Upstream>;
template <class Upstream>
guard_adaptor(Upstream*, guards) -> guard_adaptor<Upstream>;

static_assert(layered<guard_adaptor<>>);

}  // namespace strata::pmr
