// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <cstddef>
#include <memory_resource>
#include <new>
#include <span>

export module strata.pmr:fallback_resource;

import :allocation_error;
import :block_origins;
import :layer;
import :ledger;
import :misuse;
import :refusals;
import :report;

import strata.mem;

/// Asks one resource; when that has no memory, another.
///
/// Role           combiner: bytes pass through, none are made or kept here
/// Upstream       two, borrowed, never null, not the same, outlive this object. The second must not take its memory from
///                the first where that tells its blocks by their address (see below). They may share what is below them
/// Owns           a set of the blocks the second has out, unless one of the two can tell its own
/// Thread safety  as both upstreams: any thread if each is for any thread
/// Alignment      what either upstream honours
/// Size           any; zero is forwarded
/// Complexity     O(1) plus upstream. What the first refuses costs the exception it throws, which is memory from malloc.
///                Deallocating is one look at a counter; a lock and a look-up for blocks of the second, and for those of
///                the first that share a hash with one of them (n blocks: n in 1024)
/// Overhead       0 bytes a block. The set takes 4 KiB in this object and 32 to 64 bytes from the OS for each block the
///                second has out; none where an upstream can tell its own
/// Throws         when the first throws std::bad_alloc and the second throws too, what the second throws: it is the last
///                word. Anything else the first throws, without asking the second. allocation_error when the OS has no
///                memory for the set, which was given room for `known_blocks` when it was made. Nothing has changed.
///                Constructed with options that cannot be: std::invalid_argument; without room for the set:
///                allocation_error
/// Deallocate     noexcept; size and alignment as allocated, else undefined, but a block of the second that comes back
///                with another size, and one that is of neither where both can tell, are misuse
/// Equality       identity
/// Fork           as both upstreams; the set's lock is free in the child
/// Exit           destruction gives nothing back; live_at_end says whether live blocks are misuse
/// Signals        not for signal handlers
/// Composes       above a pool of fixed size, limit{} or locked{}, with a larger one to fall back upon; in a stack what
///                is below is the first upstream. Below a keeper it is asked rarely and costs nothing
///
/// Whose a block is: where the first upstream can tell its own (`owns(p)`), it is asked; else where the second can, that
/// is; else the second's blocks, which are the rarer, are remembered.
///
/// Each request that the first refused and the second served is a degraded state, with the last cause.
export namespace strata::pmr {

template <class First, class Second>
class fallback_resource;

/// A fallback_resource in a stack, above its first upstream: its options.
template <class Second = std::pmr::memory_resource>
struct fallback {
  template <class First>
  using layer_over = fallback_resource<First, Second>;

  Second* second;                 ///< second upstream; not null
  const char* name = "fallback";  ///< in reports and errors; outlives the layer
  std::size_t known_blocks = 64;  ///< blocks of the second's that can be remembered without asking the OS, at least
  bool live_at_end_is_misuse = false;  ///< report blocks that are alive at destruction
};

}  // namespace strata::pmr

namespace strata::pmr {

// Throws std::invalid_argument, in a sentence, when the two cannot be.
void check_fallback(const char* name, const std::pmr::memory_resource* first, const std::pmr::memory_resource* second);

// The call of the OS that made a request fail, as far as the exception knows.
[[nodiscard]] mem::os_error cause_of(const std::bad_alloc& refused) noexcept;

}  // namespace strata::pmr

export namespace strata::pmr {

template <class First = std::pmr::memory_resource, class Second = std::pmr::memory_resource>
class fallback_resource final : public direct_layer<fallback_resource<First, Second>> {
  using base = direct_layer<fallback_resource>;

 public:
  using upstream_type = First;
  using second_upstream_type = Second;
  static constexpr bool thread_safe = is_thread_safe_or_unknown<First> && is_thread_safe_or_unknown<Second>;
  static constexpr std::size_t max_alignment = std::max(max_alignment_of<First>, max_alignment_of<Second>);
  static constexpr bool zeroed = zeroed_by<First> && zeroed_by<Second>;
  static constexpr bool can_release = false;
  static constexpr bool asks_program = asking<First> || asking<Second>;

  explicit fallback_resource(First* first, const fallback<Second>& options)
      : base(options.name, first, options.second), first_(first), options_(options) {
    check_fallback(options.name, first, options.second);
    if (const mem::os_error refused = origins_.prepare(options.known_blocks); refused.failed()) {
      throw allocation_error(options.name, options.known_blocks, 1, "there is no memory to remember blocks in",
                             refused);
    }
  }
  explicit fallback_resource(First* first, Second* second) : fallback_resource(first, fallback<Second>{second}) {}

  ~fallback_resource() override {
    if (options_.live_at_end_is_misuse && ledger_.blocks() != 0) {
      this->report_live("destroyed with live blocks: nobody gives them back to their upstream any more", stats());
    }
  }

  /// Requests that the first upstream refused and the second served.
  [[nodiscard]] std::size_t fallbacks() const noexcept { return refusals_.because(nullptr).times; }

  /// Whether a block at `p` is of one of the two. Only where both can tell.
  [[nodiscard]] inline bool owns(const void* p) const noexcept
    requires(knows_its_own<First> && knows_its_own<Second>)
  {
    return first_->owns(p) || options_.second->owns(p);
  }

  [[nodiscard]] statistics stats() const noexcept override {
    statistics figures = ledger_.figures();
    figures.upstream = figures.live;
    figures.from_second = from_second_.get();
    return figures;
  }

  /// What is remembered of the second upstream's blocks, then what is below.
  [[nodiscard]] fault check() const noexcept override {
    if (const char* const wrong = origins_.check(); wrong != nullptr) return {wrong, this};
    return base::check();
  }

  [[nodiscard]] std::size_t degraded(std::span<degradation> out) const noexcept override;

 private:
  friend base;

  static constexpr mem::threads threads = thread_safe ? mem::threads::any : mem::threads::one;

  [[nodiscard]] inline void* do_allocate(std::size_t bytes, std::size_t alignment) override {
    mem::os_error cause;
    try {
      void* const p = first_->allocate(bytes, alignment);
      ledger_.handed_out(bytes);
      return p;
    } catch (const std::bad_alloc& refused) {
      cause = cause_of(refused);
    } catch (...) {
      ledger_.failed();
      throw;
    }
    return allocate_from_second(bytes, alignment, cause);
  }

  inline void do_deallocate(void* p, std::size_t bytes, std::size_t alignment) override {
    switch (const origin from = origins_.take(p, bytes)) {
      case origin::first:
        ledger_.taken_back(bytes);
        return first_->deallocate(p, bytes, alignment);
      case origin::second:
        ledger_.taken_back(bytes);
        from_second_.subtract(bytes);
        return options_.second->deallocate(p, bytes, alignment);
      case origin::none:
      case origin::other_size:
        return report_misuse(
            {.layer = this->name(), .sentence = describe(from), .pointer = p, .bytes = bytes, .alignment = alignment});
    }
  }

  [[nodiscard]] void* allocate_from_second(std::size_t bytes, std::size_t alignment, mem::os_error cause);

  First* const first_;
  const fallback<Second> options_;
  ledger_for<thread_safe> ledger_;
  mem::tally<threads> from_second_;  ///< bytes live
  refusals refusals_;                ///< by the first, served by the second
  block_origins<First, Second, threads> origins_{first_, options_.second};
};

template <class First, class Second>
fallback_resource(First*, Second*) -> fallback_resource<First, Second>;
template <class First, class Second>
fallback_resource(First*, fallback<Second>) -> fallback_resource<First, Second>;

// Outside the first one's handler: its exception is gone by now.
template <class First, class Second>
void* fallback_resource<First, Second>::allocate_from_second(std::size_t bytes, std::size_t alignment,
                                                             mem::os_error cause) {
  void* p = nullptr;
  try {
    p = options_.second->allocate(bytes, alignment);
  } catch (...) {
    ledger_.failed();
    throw;
  }
  if (const mem::os_error refused = origins_.add(p, bytes); refused.failed()) {
    ledger_.failed();
    options_.second->deallocate(p, bytes, alignment);
    throw allocation_error(this->name(), bytes, alignment, "there is no memory to remember whose block it is", refused);
  }
  ledger_.handed_out(bytes);
  from_second_.add(bytes);
  refusals_.note(cause);
  return p;
}

template <class First, class Second>
std::size_t fallback_resource<First, Second>::degraded(std::span<degradation> out) const noexcept {
  const mem::os_error unknown = origins_.unknown_to_fork();
  return tell({refusals_.because("the first upstream refused requests and the second served them; give the first more "
                                 "memory"),
               {"the lock of remembered blocks is not known to fork(): a child forked while another thread deallocates "
                "may hang; do not fork",
                unknown, unknown.failed() ? 1U : 0U}},
              out);
}

static_assert(layered<fallback_resource<>>);

}  // namespace strata::pmr
