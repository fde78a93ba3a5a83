// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory_resource>
#include <span>

export module strata.pmr:large_page_adaptor;

import :allocation_error;
import :layer;
import :ledger;
import :refusals;
import :report;

import strata.mem;

/// Large pages for what passes.
///
/// Role           adaptor: bytes pass through; those of large blocks are put into large pages
/// Upstream       borrowed, never null, outlives this object; hands out memory of whole pages or cuts blocks from it
/// Owns           nothing but a table of its large blocks
/// Thread safety  as upstream; figures from any thread
/// Alignment      what upstream honours; blocks of a large page and more are aligned to large pages
/// Size           any. What is smaller than a large page passes untouched: no counter gets 2 MiB. Nothing is rounded up:
///                the last piece of a block, less than a large page, stays in base pages
/// Complexity     of large blocks a system call for each step, and their pages' first touch if anybody looks; of small
///                ones none
/// Overhead       0 bytes a block; 16 to 64 bytes of table for a large one
/// Throws         constructed above segments of the kind ism, which have large pages of their own: std::invalid_argument.
///                What upstream throws; allocation_error when a block cannot be made resident, and when strict and not
///                all of it came into large pages, with the reason. Nothing has changed
/// Deallocate     noexcept; size and alignment as allocated, else undefined
/// Equality       identity
/// Fork           large pages are shared until either side writes; then small copies may be made of them
/// Exit           usable as long as it lives
/// Signals        not for signal handlers
/// Composes       above a source and below a keeper, whose spans are large; above explicit_pages{} for the whole ladder:
///                pool pages, collapse, advice, base pages
///
/// What was obtained is read back from the OS: for a block when it is allocated, if `look` or `collapse` is set, and in
/// sum whenever large_bytes() is asked.
export namespace strata::pmr {

template <class Upstream>
class large_page_adaptor;

/// A large_page_adaptor in a stack: its options. Every step is optional; what none brings is base pages.
struct large_pages {
  template <class Upstream>
  using layer_over = large_page_adaptor<Upstream>;

  const char* name = "large_pages";  ///< in reports and errors; outlives the layer
  bool advise = true;                ///< ask the OS for large pages when the block is touched
  bool collapse = true;  ///< make the block resident, and what did not come in large pages into such, at once
  bool look = true;      ///< make the block resident and see what came of it
  bool strict = false;   ///< what is less than all is an exception, and not a degraded state; includes `look`
};

}  // namespace strata::pmr

namespace strata::pmr {

[[nodiscard]] mem::large_page_steps steps_of(const large_pages& options) noexcept;
[[noreturn]] void refuse_large_pages(const char* layer);
[[noreturn]] void throw_no_large_pages(const char* layer, std::size_t bytes, std::size_t alignment,
                                       const mem::large_page_result& got);

}  // namespace strata::pmr

export namespace strata::pmr {

template <class Upstream = std::pmr::memory_resource>
class large_page_adaptor final : public direct_layer<large_page_adaptor<Upstream>> {
  using base = direct_layer<large_page_adaptor<Upstream>>;

 public:
  using upstream_type = Upstream;
  static constexpr bool thread_safe = is_thread_safe_or_unknown<Upstream>;
  static constexpr std::size_t max_alignment = max_alignment_of<Upstream>;
  static constexpr bool zeroed = zeroed_by<Upstream>;
  static constexpr bool can_release = false;
  static constexpr bool makes_large_pages = true;

 private:
  // Known when it is constructed.
  static constexpr bool may_have_its_own = requires(const Upstream& u) { u.has_large_pages_of_its_own(); };

 public:
  static_assert(
      !requires { requires Upstream::locks_memory; },
      "strata::pmr::large_page_adaptor: what lies below is locked already, page by page; put large_pages{} "
      "below locked{}");
  static_assert(
      !requires { requires Upstream::makes_large_pages; },
      "strata::pmr::large_page_adaptor: what lies below makes large pages already; leave one of them out");

  explicit large_page_adaptor(Upstream* upstream, large_pages options = {}) noexcept(!may_have_its_own)
      : base(options.name, upstream), upstream_(upstream), options_(options) {
    if constexpr (may_have_its_own) {
      if (upstream->has_large_pages_of_its_own()) refuse_large_pages(options.name);
    }
  }

  ~large_page_adaptor() override { this->expect_all_back(stats()); }

  /// Bytes of live blocks that should be in large pages: the whole ones within them.
  [[nodiscard]] std::size_t asked_bytes() const noexcept { return asked_.load(std::memory_order_relaxed); }
  /// Bytes of those that are, as the OS says now. Takes the time to look at every page of them.
  [[nodiscard]] std::size_t large_bytes() const noexcept {
    return static_cast<std::size_t>(
        blocks_.sum([](const void* block, std::size_t bytes) { return mem::backing_of(block, bytes).large; }));
  }
  /// The same of one block.
  [[nodiscard]] static std::size_t asked_bytes(const void* block, std::size_t bytes) noexcept {
    return mem::whole_large_bytes(block, bytes);
  }
  [[nodiscard]] static std::size_t large_bytes(const void* block, std::size_t bytes) noexcept {
    return static_cast<std::size_t>(mem::backing_of(block, bytes).large);
  }

  [[nodiscard]] statistics stats() const noexcept override {
    statistics figures = ledger_.figures();
    figures.upstream = figures.live;
    return figures;
  }

  [[nodiscard]] std::size_t degraded(std::span<degradation> out) const noexcept override {
    return tell({misses_.because("blocks did not all come in large pages; free memory, or have the OS keep large pages "
                                 "ready")},
                out);
  }

 private:
  friend base;

  [[nodiscard]] inline bool is_large(std::size_t bytes) const noexcept {
    const std::size_t page = mem::large_page_bytes();
    return page != 0 && bytes >= page;
  }
  [[nodiscard]] inline std::size_t raised(std::size_t bytes, std::size_t alignment) const noexcept {
    return is_large(bytes) && mem::large_page_bytes() <= max_alignment ? std::max(alignment, mem::large_page_bytes())
                                                                       : alignment;
  }

  [[nodiscard]] inline void* do_allocate(std::size_t bytes, std::size_t alignment) override {
    void* p = nullptr;
    try {
      p = upstream_->allocate(bytes, raised(bytes, alignment));
      if (is_large(bytes)) enlarge(p, bytes, alignment);
    } catch (...) {
      ledger_.failed();
      if (p != nullptr) upstream_->deallocate(p, bytes, raised(bytes, alignment));
      throw;
    }
    ledger_.handed_out(bytes);
    return p;
  }

  inline void do_deallocate(void* p, std::size_t bytes, std::size_t alignment) override {
    ledger_.taken_back(bytes);
    if (is_large(bytes) && blocks_.remove(p) != 0) {
      asked_.fetch_sub(mem::whole_large_bytes(p, bytes), std::memory_order_relaxed);
    }
    upstream_->deallocate(p, bytes, raised(bytes, alignment));
  }

  void enlarge(void* p, std::size_t bytes, std::size_t alignment) {
    const mem::large_page_steps steps = steps_of(options_);
    const mem::large_page_result got = mem::make_large(p, bytes, steps);
    const bool short_of = (steps.look || steps.collapse) && got.obtained < got.asked;
    if (got.no_memory.failed() || (options_.strict && short_of)) {
      throw_no_large_pages(this->name(), bytes, alignment, got);
    }
    if (const mem::os_error refused = blocks_.add(p, bytes); refused.failed()) {
      throw allocation_error(this->name(), bytes, alignment, "there is no memory to note the block in", refused);
    }
    asked_.fetch_add(got.asked, std::memory_order_relaxed);
    if (short_of) misses_.note(got.missing);
  }

  Upstream* const upstream_;
  const large_pages options_;
  shared_ledger ledger_;
  mem::block_registry blocks_;  // large ones, and their bytes
  std::atomic<std::size_t> asked_{0};
  refusals misses_;
};

template <class Upstream>
large_page_adaptor(Upstream*) -> large_page_adaptor<Upstream>;
template <class Upstream>
large_page_adaptor(Upstream*, large_pages) -> large_page_adaptor<Upstream>;

static_assert(layered<large_page_adaptor<>>);

}  // namespace strata::pmr
