// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <cstdio>
#include <memory_resource>
#include <span>

#include "absl/functional/function_ref.h"

export module strata.pmr:tracking_adaptor;

import :heap_profile;
import :layer;
import :profile_source;
import :report;
import :text_sink;
import :tracking_calls;
import :tracking_options;

import strata.mem;

namespace strata::pmr {

// Which can serve most requests without a call.
template <class Upstream>
concept quick = requires(Upstream& upstream, std::size_t n) {
  { upstream.allocate_quickly(n, n) } noexcept;
};

}  // namespace strata::pmr

/// Who asked for how much, and what of it is live: figures by scope, leaks by call stack, heap profiles. Of every block,
/// or of a sample, which costs next to nothing.
///
/// Role           adaptor: bytes pass through, none are made or kept here
/// Upstream       borrowed, never null, outlives this object
/// Owns           what is known of blocks and call stacks, in memory from the OS
/// Thread safety  as upstream. No lock is held while upstream, a sink or a handler is called, or a profile is written
/// Alignment      what upstream honours
/// Size           any; blocks of no bytes are counted, but in no sample
/// Complexity     a sample: a few instructions a call, without a lock, an atomic read-modify-write or anything shared;
///                for one block in `sample_bytes` a lock, O(1) and a stack. Every block: that with each
/// Overhead       0 bytes a block; apart from it some 250 bytes a block that is known, 16 KiB of counts in this object,
///                and call stacks
/// Throws         what upstream throws; where every block is known, allocation_error when there is no memory to know one
///                by: it is back with upstream, and nothing has changed. Constructed with options that cannot be:
///                std::invalid_argument
/// Deallocate     noexcept; of a block that is known, another size or another alignment is misuse and leaves it as it
///                was; where every block is known, so is a pointer of no block
/// Equality       identity
/// Fork           a child goes on with a copy of all that is known, its locks free
/// Exit           destruction reports what is live, and leaves it with upstream
/// Signals        not for signal handlers
/// Composes       on top, where it sees the program's own blocks: above a keeper and its lock; below debug{}
///
/// Exact, always: live, blocks, allocations and what scopes tell but their peak. Of a sample, `peak` is looked at with
/// each sample and each question, so it may be low by what a thread allocates between two samples; and what is told by
/// call stack is an estimate: each block that was chosen stands for 1 / (1 - exp(-bytes / sample_bytes)) blocks, which is
/// right on average, whatever the sizes.
///
/// Upstream is asked before a block is noted, and a block is struck out before it goes back: another thread may be given
/// its address at once. A block that upstream hands out while it is live is misuse: somebody deallocated it below.
export namespace strata::pmr {

template <class Upstream = std::pmr::memory_resource>
class tracking_adaptor final : public direct_layer<tracking_adaptor<Upstream>>, public profile_source {
  using base = direct_layer<tracking_adaptor<Upstream>>;

 public:
  using upstream_type = Upstream;
  static constexpr bool thread_safe = is_thread_safe_or_unknown<Upstream>;
  static constexpr std::size_t max_alignment = max_alignment_of<Upstream>;
  static constexpr bool zeroed = zeroed_by<Upstream>;
  static constexpr bool can_release = requires { requires Upstream::can_release; };
  static constexpr bool tracks_blocks = true;

  static_assert(
      !requires { requires Upstream::tracks_blocks; },
      "strata::pmr::tracking_adaptor: what lies below is tracked already; leave one of them out");

  explicit tracking_adaptor(Upstream* upstream, const tracking& options = {})
      : base(options.name, upstream), upstream_(upstream), calls_(options, upstream) {}

  ~tracking_adaptor() override { calls_.end(); }

  /// Begins a scope of this layer, for all its threads; inside the one that began last. At most 64 at a time: then
  /// std::length_error.
  void push() { calls_.push(); }
  /// Ends the scope that began last, and tells what came and went in it, by any thread. Without one: misuse, and zeros.
  tracking_scope pop() { return calls_.pop(); }

  /// Every call stack from which something came, in no order. The visitor may use this memory.
  void walk(absl::FunctionRef<void(const profiled_place&)> visitor) const {
    for (std::size_t i = 0; i < places(); ++i) visitor(place(i));
  }

  /// Writes what is live by call stack, largest first, at most so many: what destruction writes when something is.
  void write_live(const text_sink& to, std::size_t most = 20) const noexcept { calls_.write_live(to, most); }

  /// Writes a heap profile for pprof: see heap_profile. Returns what was refused, if anything: then the file is not
  /// whole.
  [[nodiscard]] mem::os_error write_profile(std::FILE* out, const heap_profile_options& options = {}) const noexcept {
    const profile_source* const self = this;
    return write_heap_profile(out, {&self, 1}, options);
  }

  /// Samples for which there was no memory: estimates lack them.
  [[nodiscard]] std::size_t unrecorded() const noexcept { return calls_.unrecorded(); }

  /// Everything goes back; all blocks are void. Only where upstream can.
  void release() noexcept
    requires can_release
  {
    calls_.release();
    upstream_->release();
  }

  [[nodiscard]] statistics stats() const noexcept override { return calls_.figures(); }

  /// What is known of blocks, then what is below.
  [[nodiscard]] fault check() const noexcept override {
    if (const char* const wrong = calls_.check(); wrong != nullptr) return {wrong, nullptr};
    return base::check();
  }

  [[nodiscard]] std::size_t degraded(std::span<degradation> out) const noexcept override {
    return calls_.degraded(out);
  }

  [[nodiscard]] const char* profiled_resource() const noexcept override { return calls_.resource(); }
  [[nodiscard]] const char* profiled_layer() const noexcept override { return this->name(); }
  [[nodiscard]] std::size_t sampling_period() const noexcept override { return calls_.period(); }
  [[nodiscard]] std::size_t places() const noexcept override { return calls_.places(); }
  [[nodiscard]] profiled_place place(std::size_t number) const noexcept override { return calls_.place(number); }

 private:
  friend base;

  // Calls stand last: what passes keeps nothing over them, so it needs no registers of its own, and the stack of a block
  // begins with who asked for it.
  [[nodiscard]] inline void* do_allocate(std::size_t bytes, std::size_t alignment) override {
    if constexpr (quick<Upstream>) {
      void* const p = upstream_->allocate_quickly(bytes, alignment);
      if (p == nullptr) [[unlikely]] {
        return allocate_slowly(bytes, alignment);
      }
      return calls_.passes(bytes) ? p : note(p, bytes, alignment);
    } else {
      void* const p = obtain(bytes, alignment);
      return calls_.passes(bytes) ? p : note(p, bytes, alignment);
    }
  }

  inline void do_deallocate(void* p, std::size_t bytes, std::size_t alignment) override {
    if (calls_.may_know(p) || !calls_.passes_back(bytes)) [[unlikely]] {
      return deallocate_slowly(p, bytes, alignment);
    }
    upstream_->deallocate(p, bytes, alignment);
  }

  [[nodiscard]] inline void* obtain(std::size_t bytes, std::size_t alignment) {
    try {
      return upstream_->allocate(bytes, alignment);
    } catch (...) {
      calls_.note_failure();
      throw;
    }
  }
  [[nodiscard, gnu::noinline]] void* allocate_slowly(std::size_t bytes, std::size_t alignment) {
    void* const p = obtain(bytes, alignment);
    return calls_.passes(bytes) ? p : calls_.note(p, bytes, alignment, __builtin_return_address(0));
  }
  [[nodiscard, gnu::noinline]] void* note(void* p, std::size_t bytes, std::size_t alignment) {
    return calls_.note(p, bytes, alignment, __builtin_return_address(0));
  }
  [[gnu::noinline]] void deallocate_slowly(void* p, std::size_t bytes, std::size_t alignment) {
    if (calls_.take(p, bytes, alignment)) upstream_->deallocate(p, bytes, alignment);
  }

  Upstream* const upstream_;
  tracking_calls<thread_safe ? mem::threads::any : mem::threads::one> calls_;
};

template <class Upstream>
tracking_adaptor(Upstream*) -> tracking_adaptor<Upstream>;
template <class Upstream>
tracking_adaptor(Upstream*, tracking) -> tracking_adaptor<Upstream>;

static_assert(layered<tracking_adaptor<>>);

}  // namespace strata::pmr
