// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <cstddef>
#include <memory_resource>

export module strata.pmr:size_split_resource;

import :layer;
import :ledger;
import :misuse;
import :report;

import strata.mem;

/// Small requests to one resource, others to another.
///
/// Role           combiner: bytes pass through, none are made or kept here
/// Upstream       two, borrowed, never null, outlive this object: the first for what is small, the second for the rest.
///                They may share what is below them
/// Owns           nothing
/// Thread safety  as both upstreams: any thread if each is for any thread
/// Alignment      what the second upstream honours, for requests of every size
/// Size           any. Small is what has at most `largest_small` bytes, zero too, and an alignment of at most
///                `largest_small_alignment` that both upstreams honour
/// Complexity     O(1) plus upstream: two comparisons; counting is five atomic additions a pair over thread-safe
///                upstreams, two more for what is not small
/// Overhead       0 bytes a block: no header, no look-up
/// Throws         what the upstream asked throws; nothing has changed, and the other one is not asked. Constructed with
///                options that cannot be: std::invalid_argument
/// Deallocate     noexcept; size and alignment as allocated, else undefined: they say which upstream the block is of
/// Equality       identity
/// Fork           as both upstreams
/// Exit           destruction gives nothing back; live_at_end says whether live blocks are misuse
/// Signals        not for signal handlers
/// Composes       above two keepers that are good at different sizes, slabs{} and heap{}; in a stack what is below is
///                the first upstream. Above fallback{} or below it
export namespace strata::pmr {

template <class Small, class Large>
class size_split_resource;

/// A size_split_resource in a stack, above its first upstream: its options.
template <class Large = std::pmr::memory_resource>
struct size_split {
  template <class Small>
  using layer_over = size_split_resource<Small, Large>;

  Large* large;                     ///< second upstream; not null
  const char* name = "size_split";  ///< in reports and errors; outlives the layer
  std::size_t largest_small = 256;  ///< bytes; requests up to it are small
  std::size_t largest_small_alignment =
      (mem::max_object / 2) + 1U;      ///< requests above it are not small; a power of two
  bool live_at_end_is_misuse = false;  ///< report blocks that are alive at destruction
};

}  // namespace strata::pmr

namespace strata::pmr {

// Throws std::invalid_argument, in a sentence, when the options cannot be.
void check_size_split(const char* name, const void* large, std::size_t largest_small_alignment);

}  // namespace strata::pmr

export namespace strata::pmr {

template <class Small = std::pmr::memory_resource, class Large = std::pmr::memory_resource>
class size_split_resource final : public direct_layer<size_split_resource<Small, Large>> {
  using base = direct_layer<size_split_resource>;

 public:
  using upstream_type = Small;
  using second_upstream_type = Large;
  static constexpr bool thread_safe = is_thread_safe_or_unknown<Small> && is_thread_safe_or_unknown<Large>;
  static constexpr std::size_t max_alignment = max_alignment_of<Large>;
  static constexpr bool zeroed = zeroed_by<Small> && zeroed_by<Large>;
  static constexpr bool can_release = false;
  static constexpr bool asks_program = asking<Small> || asking<Large>;

  explicit size_split_resource(Small* small, const size_split<Large>& options)
      : base(options.name, small, options.large), small_(small), options_(options) {
    check_size_split(options.name, options.large, options.largest_small_alignment);
  }
  explicit size_split_resource(Small* small, Large* large) : size_split_resource(small, size_split<Large>{large}) {}

  ~size_split_resource() override {
    if (options_.live_at_end_is_misuse && ledger_.blocks() != 0) {
      this->report_live("destroyed with live blocks: nobody gives them back to their upstream any more", stats());
    }
  }

  /// Whether the first upstream serves such requests.
  [[nodiscard]] inline bool is_small(std::size_t bytes, std::size_t alignment) const noexcept {
    return bytes <= options_.largest_small && alignment <= largest_small_alignment_;
  }

  /// Whether a block at `p` is of one of the two. Only where both can tell.
  [[nodiscard]] inline bool owns(const void* p) const noexcept
    requires(knows_its_own<Small> && knows_its_own<Large>)
  {
    return small_->owns(p) || options_.large->owns(p);
  }

  [[nodiscard]] statistics stats() const noexcept override {
    statistics figures = ledger_.figures();
    figures.upstream = figures.live;
    figures.from_second = from_large_.get();
    return figures;
  }

 private:
  friend base;

  [[nodiscard]] inline void* do_allocate(std::size_t bytes, std::size_t alignment) override {
    const bool small = is_small(bytes, alignment);
    void* p = nullptr;
    try {
      p = small ? small_->allocate(bytes, alignment) : options_.large->allocate(bytes, alignment);
    } catch (...) {
      ledger_.failed();
      throw;
    }
    ledger_.handed_out(bytes);
    if (!small) from_large_.add(bytes);
    return p;
  }

  inline void do_deallocate(void* p, std::size_t bytes, std::size_t alignment) override {
    ledger_.taken_back(bytes);
    if (is_small(bytes, alignment)) {
      small_->deallocate(p, bytes, alignment);
    } else {
      from_large_.subtract(bytes);
      options_.large->deallocate(p, bytes, alignment);
    }
  }

  Small* const small_;
  const size_split<Large> options_;
  // What only one of the two honours is not small: so one limit holds for requests of every size.
  const std::size_t largest_small_alignment_ =
      std::min({options_.largest_small_alignment, max_alignment_of<Small>, max_alignment_of<Large>});
  ledger_for<thread_safe> ledger_;
  mem::tally<thread_safe ? mem::threads::any : mem::threads::one> from_large_;  ///< bytes live
};

template <class Small, class Large>
size_split_resource(Small*, Large*) -> size_split_resource<Small, Large>;
template <class Small, class Large>
size_split_resource(Small*, size_split<Large>) -> size_split_resource<Small, Large>;

static_assert(layered<size_split_resource<>>);

}  // namespace strata::pmr
