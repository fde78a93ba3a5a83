// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <memory_resource>
#include <new>

export module strata.pmr:limit_adaptor;

import :allocation_error;
import :layer;
import :report;

import strata.mem;

/// A budget: no more than so many bytes pass at a time.
///
/// Role           adaptor: bytes pass through and are counted, as asked for here
/// Upstream       borrowed, never null, outlives this object
/// Owns           nothing
/// Thread safety  as upstream. The callback is called in the thread whose request fails, holding no lock
/// Alignment      what upstream honours
/// Size           any; zero is forwarded and counts nothing
/// Complexity     O(1) plus upstream; over a thread-safe upstream five atomic additions a pair
/// Overhead       0 bytes a block
/// Throws         what upstream throws; allocation_error when the budget is used up, saying how much is live of how
///                much. Both only after the callback, if there is one, could not help; nothing has changed. Constructed
///                with options that cannot be: std::invalid_argument
/// Deallocate     noexcept; size and alignment as allocated, else undefined
/// Equality       identity
/// Fork           the child has an account of its own, with what was live
/// Exit           usable as long as it lives
/// Signals        not for signal handlers
/// Composes       above a source it caps what a stack takes from the machine, in whole spans; above a keeper it caps
///                what a part of the program has. relieved_limit{} not below a lock: who is asked could not come back in
export namespace strata::pmr {

template <class Upstream, class Options>
class limit_adaptor;

/// A limit_adaptor in a stack: its options. `bytes`, `share` or both: the smaller counts.
struct limit {
  template <class Upstream>
  using layer_over = limit_adaptor<Upstream, limit>;

  const char* name = "limit";  ///< in reports and errors; outlives the layer
  std::size_t bytes = 0;       ///< most that may be live; 0: as the share says
  double share = 0;            ///< most that may be live, as a share of the memory available when the layer is made:
                               ///< containers' limits count, and what a file system's own cache (ZFS: ARC) would give
                               ///< back counts as soon as it does. Above 0, up to 1; 0: as `bytes` says
};

/// A request that is about to fail.
struct shortage {
  const char* layer;      ///< name of the limit
  std::size_t bytes;      ///< of the request
  std::size_t alignment;  ///< of the request
  std::size_t live;       ///< bytes, all blocks
  std::size_t limit;      ///< bytes
  bool upstream_failed;   ///< the budget would do, but upstream has thrown std::bad_alloc
};

/// Is asked before a request fails, and may free blocks of the same stack, or allocate (a request of its own that fails
/// does not come here again). True: try again; but that is done only if some block came back to the limit meanwhile (a
/// keeper above may keep what it gets: trim() it), so the answer cannot keep a request for ever.
using relieve = bool (*)(void* argument, const shortage& what) noexcept;

/// The same with somebody to ask first.
struct relieved_limit {
  template <class Upstream>
  using layer_over = limit_adaptor<Upstream, relieved_limit>;

  const char* name = "limit";    ///< as in limit
  std::size_t bytes = 0;         ///< as in limit
  double share = 0;              ///< as in limit
  relieve when_short = nullptr;  ///< asked before a request fails; not null
  void* argument = nullptr;      ///< for it
};

}  // namespace strata::pmr

namespace strata::pmr {

// The options as a plan; throws std::invalid_argument, in a sentence, when they cannot be.
[[nodiscard]] mem::budget_plan budget_of(const limit& options);
[[nodiscard]] mem::budget_plan budget_of(const relieved_limit& options);

[[noreturn]] void throw_over_budget(mem::refusal why, const shortage& what);

// As long as it lives, the calling thread is in the callback of `who`.
class relief {
 public:
  explicit relief(const void* who) noexcept;
  ~relief();
  relief(const relief&) = delete;
  relief& operator=(const relief&) = delete;

  [[nodiscard]] static bool is_under_way(const void* who) noexcept;

 private:
  const void* const who_;
  const relief* const outer_;
};

}  // namespace strata::pmr

export namespace strata::pmr {

template <class Upstream = std::pmr::memory_resource, class Options = limit>
class limit_adaptor final : public direct_layer<limit_adaptor<Upstream, Options>> {
  using base = direct_layer<limit_adaptor>;

 public:
  using upstream_type = Upstream;
  static constexpr bool asks_program = requires(const Options& options) { options.when_short; };
  static constexpr bool thread_safe = is_thread_safe_or_unknown<Upstream>;
  static constexpr std::size_t max_alignment = max_alignment_of<Upstream>;
  static constexpr bool zeroed = zeroed_by<Upstream>;
  static constexpr bool can_release = false;

  explicit limit_adaptor(Upstream* upstream, const Options& options)
      : base(options.name, upstream), upstream_(upstream), options_(options), budget_(budget_of(options)) {}

  ~limit_adaptor() override { this->expect_all_back(stats()); }

  /// Bytes; with a share, of the memory there was when this was made.
  [[nodiscard]] std::size_t limit_bytes() const noexcept { return budget_.limit(); }
  /// From now on, bytes. What is live stays, also when it is more.
  void set_limit(std::size_t bytes) noexcept { budget_.set_limit(bytes); }

  /// Starts watching anew, when the program has settled: suggested_limit() then does not know what came before.
  void start_baseline() noexcept { budget_.start_baseline(); }
  /// A limit that suits what was live at most since then: a quarter more, rounded up to 64 KiB.
  [[nodiscard]] std::size_t suggested_limit() const noexcept { return budget_.suggested_limit(); }

  [[nodiscard]] statistics stats() const noexcept override {
    const std::size_t live = budget_.live();
    const std::size_t allocations = allocations_.get();
    return {.live = live,
            .upstream = live,
            .peak = budget_.peak(),
            .live_blocks = allocations - deallocations_.get(),
            .allocations = allocations,
            .failures = failures_.get()};
  }

 private:
  friend base;
  static constexpr mem::threads threads = thread_safe ? mem::threads::any : mem::threads::one;

  [[nodiscard]] inline void* do_allocate(std::size_t bytes, std::size_t alignment) override {
    for (;;) {
      if (const mem::refusal why = budget_.claim(bytes); why != mem::refusal::none) [[unlikely]] {
        if (relieved(bytes, alignment, false)) continue;
        failures_.add(1);
        throw_over_budget(why, shortage_of(bytes, alignment, false));
      }
      try {
        void* const p = upstream_->allocate(bytes, alignment);
        allocations_.add(1);
        return p;
      } catch (const std::bad_alloc&) {
        budget_.give(bytes);
        if (relieved(bytes, alignment, true)) continue;
        failures_.add(1);
        throw;
      } catch (...) {
        budget_.give(bytes);
        failures_.add(1);
        throw;
      }
    }
  }

  inline void do_deallocate(void* p, std::size_t bytes, std::size_t alignment) override {
    budget_.give(bytes);
    deallocations_.add(1);
    upstream_->deallocate(p, bytes, alignment);
  }

  [[nodiscard]] shortage shortage_of(std::size_t bytes, std::size_t alignment, bool upstream_failed) const noexcept {
    return {this->name(), bytes, alignment, budget_.live(), budget_.limit(), upstream_failed};
  }

  // Whether the callback has freed something and wants another try.
  [[nodiscard, gnu::noinline]] bool relieved(std::size_t bytes, std::size_t alignment, bool upstream_failed) noexcept {
    if constexpr (asks_program) {
      if (relief::is_under_way(this)) return false;
      const relief under_way(this);
      const std::size_t before = deallocations_.get();
      mem::expect_no_lock_held("what relieves a limit");
      return options_.when_short(options_.argument, shortage_of(bytes, alignment, upstream_failed)) &&
             deallocations_.get() != before;
    } else {
      return false;
    }
  }

  Upstream* const upstream_;
  const Options options_;
  mem::budget<threads> budget_;
  mem::tally<threads> allocations_;
  mem::tally<threads> deallocations_;
  mem::tally<threads> failures_;
};

template <class Upstream, class Options>
limit_adaptor(Upstream*, Options) -> limit_adaptor<Upstream, Options>;

static_assert(layered<limit_adaptor<>>);

}  // namespace strata::pmr
