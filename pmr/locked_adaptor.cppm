// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory_resource>
#include <span>

export module strata.pmr:locked_adaptor;

import :allocation_error;
import :layer;
import :ledger;
import :refusals;
import :report;

import strata.mem;

/// Locks what passes into RAM, and keeps it from those it is not for.
///
/// Role           adaptor: bytes pass through and are locked, page by page
/// Upstream       borrowed, never null, outlives this object; its memory is the process's own, not a shared segment
/// Owns           the locks of live blocks
/// Thread safety  as upstream; the books of locks are the process's and any thread's
/// Alignment      what upstream honours
/// Size           any; rounded up to whole pages if `dumped` is false or children do not inherit
/// Complexity     a system call or two each, but for blocks that lie in pages locked already
/// Overhead       0 bytes a block, or the rounding; 32 to 64 bytes a block in tables
/// Throws         what upstream throws; when strict, allocation_error with the OS's errno, how much is locked and what
///                to do. Nothing has changed
/// Deallocate     noexcept; size and alignment as allocated, else undefined
/// Equality       identity
/// Fork           a child has none of the locks, which degraded() says there; what it finds is the option `children`
/// Exit           blocks alive at destruction stay locked until their pages are unmapped
/// Signals        not for signal handlers
/// Composes       above a source, below a keeper, so that whole spans are locked and few system calls are made; above a
///                keeper for single secrets
///
/// Blocks that share a page share its lock: it ends with the last of them. Unless strict, a block that cannot be locked
/// is handed out all the same; degraded() says how often and why, unlocked_bytes() how much.
export namespace strata::pmr {

template <class Upstream>
class locked_adaptor;

/// What a child of fork() finds where a block was.
enum class children_find : std::uint8_t {
  a_copy,
  zeros,
  nothing,  ///< the pages are not there: the child must neither use nor deallocate the block
};

/// A locked_adaptor in a stack: its options.
struct locked {
  template <class Upstream>
  using layer_over = locked_adaptor<Upstream>;

  const char* name = "locked";  ///< in reports and errors; outlives the layer
  bool strict = true;     ///< what cannot be locked, or hidden as asked, is an exception, and not a degraded state
  bool on_touch = false;  ///< lock pages as they appear instead of making all resident at once
  bool wipe = false;      ///< overwrite a block with zeros before its lock ends
  bool dumped = true;     ///< part of a core dump
  children_find children = children_find::a_copy;  ///< after fork()
};

}  // namespace strata::pmr

namespace strata::pmr {

// What of locking does not depend on the upstream.
class locker {
 public:
  explicit locker(const locked& options) noexcept;

  // The request to make of upstream for one; rounded to whole pages where neighbours must not be touched.
  struct request {
    std::size_t bytes;
    std::size_t alignment;
  };
  [[nodiscard]] request request_for(std::size_t bytes, std::size_t alignment) const noexcept;

  // Locks and hides a block. When strict and refused, throws, with the block as it was.
  void take(void* p, const request& whole, std::size_t bytes, std::size_t alignment);
  // Wipes a block and ends what take() began.
  void give(void* p, const request& whole) noexcept;

  [[nodiscard]] inline fork_policy at_fork() const noexcept {
    if (options_.children == children_find::a_copy) return fork_policy::works;
    return options_.children == children_find::zeros ? fork_policy::wiped : fork_policy::refused;
  }
  [[nodiscard]] std::size_t unlocked() const noexcept;
  [[nodiscard]] std::size_t degraded(std::span<degradation> out) const noexcept;

 private:
  [[nodiscard]] mem::os_error hide(void* p, std::size_t bytes) noexcept;
  void show(void* p, std::size_t bytes) noexcept;
  void notice_fork() const noexcept;

  const locked options_;
  const bool whole_pages_;
  std::atomic<std::size_t> live_{0};            // bytes of blocks, as asked of upstream
  mutable std::atomic<std::size_t> locked_{0};  // of those that are locked
  mutable std::atomic<unsigned> generation_;    // of the ledger, when locked_ was right
  const unsigned first_generation_;
  refusals locks_;
  refusals hidings_;
};

}  // namespace strata::pmr

export namespace strata::pmr {

template <class Upstream = std::pmr::memory_resource>
class locked_adaptor final : public direct_layer<locked_adaptor<Upstream>> {
  using base = direct_layer<locked_adaptor<Upstream>>;

 public:
  using upstream_type = Upstream;
  static constexpr bool thread_safe = is_thread_safe_or_unknown<Upstream>;
  static constexpr std::size_t max_alignment = max_alignment_of<Upstream>;
  static constexpr bool zeroed = zeroed_by<Upstream>;
  static constexpr bool can_release = false;
  static constexpr bool locks_memory = true;

  static_assert(
      !requires { requires Upstream::locks_memory; },
      "strata::pmr::locked_adaptor: what lies below is locked already; leave one of them out");

  explicit locked_adaptor(Upstream* upstream, locked options = {}) noexcept
      : base(options.name, upstream), upstream_(upstream), locker_(options) {}

  /// Bytes of live blocks that are not locked, though they should be. When strict only a child of fork() has any.
  [[nodiscard]] std::size_t unlocked_bytes() const noexcept { return locker_.unlocked(); }

  /// Bytes this process has locked through layers such as this, in whole pages.
  [[nodiscard]] static std::size_t locked_by_process() noexcept { return mem::lock_ledger::of_process().bytes(); }

  [[nodiscard]] statistics stats() const noexcept override {
    statistics figures = ledger_.figures();
    figures.upstream = upstream_bytes_.load(std::memory_order_relaxed);
    figures.overhead = figures.upstream - figures.live;
    return figures;
  }

  ~locked_adaptor() override { this->expect_all_back(stats()); }

  [[nodiscard]] std::size_t degraded(std::span<degradation> out) const noexcept override {
    return locker_.degraded(out);
  }

  /// As `children` says.
  [[nodiscard]] fork_policy at_fork() const noexcept override { return std::max(base::at_fork(), locker_.at_fork()); }

 private:
  friend base;

  [[nodiscard]] inline void* do_allocate(std::size_t bytes, std::size_t alignment) override {
    const locker::request whole = locker_.request_for(bytes, alignment);
    void* p = nullptr;
    try {
      p = upstream_->allocate(whole.bytes, whole.alignment);
      locker_.take(p, whole, bytes, alignment);
    } catch (...) {
      ledger_.failed();
      if (p != nullptr) upstream_->deallocate(p, whole.bytes, whole.alignment);
      throw;
    }
    upstream_bytes_.fetch_add(whole.bytes, std::memory_order_relaxed);
    ledger_.handed_out(bytes);
    return p;
  }

  inline void do_deallocate(void* p, std::size_t bytes, std::size_t alignment) override {
    const locker::request whole = locker_.request_for(bytes, alignment);
    ledger_.taken_back(bytes);
    upstream_bytes_.fetch_sub(whole.bytes, std::memory_order_relaxed);
    locker_.give(p, whole);
    upstream_->deallocate(p, whole.bytes, whole.alignment);
  }

  Upstream* const upstream_;
  locker locker_;
  shared_ledger ledger_;
  std::atomic<std::size_t> upstream_bytes_{0};
};

template <class Upstream>
locked_adaptor(Upstream*) -> locked_adaptor<Upstream>;
template <class Upstream>
locked_adaptor(Upstream*, locked) -> locked_adaptor<Upstream>;

static_assert(layered<locked_adaptor<>>);

}  // namespace strata::pmr
