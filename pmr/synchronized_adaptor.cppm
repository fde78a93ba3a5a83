// SPDX-License-Identifier: Apache-2.0
module;
#include <atomic>
#include <cstddef>
#include <memory_resource>
#include <span>

#include "absl/base/thread_annotations.h"

export module strata.pmr:synchronized_adaptor;

import :layer;
import :ledger;
import :report;

import strata.mem;

/// One lock round every call to the upstream.
///
/// Role           adaptor: bytes pass through, none are made or kept here
/// Upstream       borrowed, never null, outlives this object
/// Owns           nothing
/// Thread safety  every member from any thread; upstream is only entered under the lock. Code of the program that upstream
///                calls, such as a handler of misuse, may use this object: its thread passes the lock it has
/// Alignment      what upstream honours
/// Size           any; zero is forwarded
/// Complexity     O(1) plus upstream; one lock
/// Overhead       0 bytes a block
/// Throws         what upstream throws; nothing has changed
/// Deallocate     noexcept; size and alignment as allocated, else undefined
/// Equality       identity
/// Fork           the lock is taken round fork, upper layers first: the child can allocate and deallocate at once
/// Exit           usable as long as it lives
/// Signals        not for signal handlers
/// Composes       directly above a layer that is not thread safe; once in a stack, with nothing above it that is not
///                thread safe
export namespace strata::pmr {

template <class Upstream>
class synchronized_adaptor;

/// A synchronized_adaptor in a stack.
struct synchronized {
  template <class Upstream>
  using layer_over = synchronized_adaptor<Upstream>;

  const char* name = "synchronized";  ///< in reports; outlives the layer
};

template <class Upstream = std::pmr::memory_resource>
class synchronized_adaptor final : public direct_layer<synchronized_adaptor<Upstream>> {
  using base = direct_layer<synchronized_adaptor<Upstream>>;

 public:
  using upstream_type = Upstream;
  static constexpr bool thread_safe = true;
  static constexpr bool is_lock = true;
  static constexpr std::size_t max_alignment = max_alignment_of<Upstream>;
  static constexpr bool zeroed = zeroed_by<Upstream>;
  static constexpr bool can_release = false;

  explicit synchronized_adaptor(Upstream* upstream, synchronized options = {}) noexcept
      : base(options.name, upstream),
        upstream_(upstream),
        mutex_(mem::lock_rank::over_upstream, options.name, mem::lock_reach::upstream) {}

  [[nodiscard]] statistics stats() const noexcept override {
    const turn mine(*this);
    return figures();
  }

  ~synchronized_adaptor() override { this->expect_all_back(stats()); }

  [[nodiscard]] std::size_t degraded(std::span<degradation> out) const noexcept override {
    if (!mutex_.unknown_to_fork().failed()) return 0;
    if (!out.empty()) {
      out[0] = {"the lock is not known to fork(): a child forked while another thread allocates may hang; do not fork",
                mutex_.unknown_to_fork(), 1};
    }
    return 1;
  }

  /// The lock is held while the layers below are verified.
  [[nodiscard]] fault check() const noexcept override {
    const turn mine(*this);
    return base::check();
  }

  /// The lock is held while the layers below are asked.
  void collect(report& into) const noexcept override {
    const turn mine(*this);
    this->collect_below(into);
    this->add_to(into, figures());
  }

  /// Calls that found the lock taken by another thread.
  [[nodiscard]] std::size_t contentions() const noexcept {
    const turn mine(*this);
    return contentions_;
  }

  /// Runs `work(upstream)` under the lock: trim, check, walk and whatever else the upstream can do and this adaptor
  /// does not forward.
  template <class Work>
  decltype(auto) with_upstream(Work&& work) {
    const turn mine(*this);
    return work(*upstream_);
  }

 private:
  friend base;

  [[nodiscard]] inline void* do_allocate(std::size_t bytes, std::size_t alignment) override {
    const turn mine(*this);
    try {
      void* const p = upstream_->allocate(bytes, alignment);
      ledger_.handed_out(bytes);
      return p;
    } catch (...) {
      ledger_.failed();
      throw;
    }
  }

  inline void do_deallocate(void* p, std::size_t bytes, std::size_t alignment) override {
    const turn mine(*this);
    ledger_.taken_back(bytes);
    upstream_->deallocate(p, bytes, alignment);
  }

  [[nodiscard]] statistics figures() const noexcept ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    statistics counted = ledger_.figures();
    counted.upstream = counted.live;
    return counted;
  }

  // The lock, as long as it lives; or nothing, in a thread that has it.
  class ABSL_SCOPED_LOCKABLE turn {
   public:
    inline explicit turn(const synchronized_adaptor& of) ABSL_EXCLUSIVE_LOCK_FUNCTION(of.mutex_)
        : of_(of), outermost_(of.enter()) {}
    inline ~turn() ABSL_UNLOCK_FUNCTION() {
      if (outermost_) of_.leave();
    }
    turn(const turn&) = delete;
    turn& operator=(const turn&) = delete;

   private:
    const synchronized_adaptor& of_;
    const bool outermost_;
  };

  // False: the calling thread has the lock. What others find in holder_ is not they.
  [[nodiscard]] inline bool enter() const ABSL_NO_THREAD_SAFETY_ANALYSIS {
    const void* const me = &mem::number_of_this_thread;
    if (holder_.load(std::memory_order_relaxed) == me) return false;
    if (!mutex_.try_lock()) {
      mutex_.lock();
      ++contentions_;
    }
    holder_.store(me, std::memory_order_relaxed);
    return true;
  }
  inline void leave() const ABSL_NO_THREAD_SAFETY_ANALYSIS {
    holder_.store(nullptr, std::memory_order_relaxed);
    mutex_.unlock();
  }

  Upstream* const upstream_ ABSL_PT_GUARDED_BY(mutex_);
  mutable mem::mutex mutex_;                          ///< held while upstream works: the one lock that is
  mutable std::atomic<const void*> holder_{nullptr};  ///< what stands for the thread that has it
  ledger ledger_ ABSL_GUARDED_BY(mutex_);
  mutable std::size_t contentions_ ABSL_GUARDED_BY(mutex_) = 0;
};

template <class Upstream>
synchronized_adaptor(Upstream*) -> synchronized_adaptor<Upstream>;
template <class Upstream>
synchronized_adaptor(Upstream*, synchronized) -> synchronized_adaptor<Upstream>;

static_assert(layered<synchronized_adaptor<>>);

}  // namespace strata::pmr
