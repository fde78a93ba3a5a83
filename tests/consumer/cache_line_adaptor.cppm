// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <limits>
#include <memory_resource>
#include <new>

export module consumer.cache_line_adaptor;

import strata.pmr;

/// A user's own layer: every block starts on a cache line and fills whole ones, so that no two blocks share a line.
///
/// One thread at a time; in a stack it stands below synchronized{}.
export namespace consumer {

template <class Upstream>
class cache_line_adaptor;

/// A cache_line_adaptor in a stack.
struct cache_lines {
  template <class Upstream>
  using layer_over = cache_line_adaptor<Upstream>;

  const char* name = "cache lines";  ///< in reports; outlives the layer
};

template <class Upstream = std::pmr::memory_resource>
class cache_line_adaptor final : public strata::pmr::direct_layer<cache_line_adaptor<Upstream>> {
  using base = strata::pmr::direct_layer<cache_line_adaptor<Upstream>>;

 public:
  using upstream_type = Upstream;
  static constexpr std::size_t line = 64;
  static constexpr bool thread_safe = false;
  static constexpr std::size_t max_alignment = [] {
    if constexpr (strata::pmr::states_facts<Upstream>) {
      return Upstream::max_alignment;
    } else {
      return std::size_t{1} << (std::numeric_limits<std::size_t>::digits - 2);
    }
  }();
  static constexpr bool zeroed = false;
  static constexpr bool can_release = false;

  explicit cache_line_adaptor(Upstream* upstream, cache_lines options = {}) noexcept
      : base(options.name, upstream), upstream_(upstream) {}

  [[nodiscard]] strata::pmr::statistics stats() const noexcept override {
    strata::pmr::statistics figures = figures_;
    figures.upstream = figures.live + figures.overhead;
    return figures;
  }

 private:
  friend base;

  static constexpr std::size_t lines(std::size_t bytes) noexcept { return (bytes + line - 1) / line * line; }
  static constexpr std::size_t at_least_line(std::size_t alignment) noexcept {
    return alignment < line ? line : alignment;
  }

  [[nodiscard]] void* do_allocate(std::size_t bytes, std::size_t alignment) override {
    if (bytes > std::numeric_limits<std::size_t>::max() - line) {
      ++figures_.failures;
      throw std::bad_alloc();
    }
    void* p = nullptr;
    try {
      p = upstream_->allocate(lines(bytes), at_least_line(alignment));
    } catch (...) {
      ++figures_.failures;
      throw;
    }
    figures_.live += bytes;
    figures_.overhead += lines(bytes) - bytes;
    if (figures_.live > figures_.peak) figures_.peak = figures_.live;
    ++figures_.live_blocks;
    ++figures_.allocations;
    return p;
  }

  void do_deallocate(void* p, std::size_t bytes, std::size_t alignment) override {
    figures_.live -= bytes;
    figures_.overhead -= lines(bytes) - bytes;
    --figures_.live_blocks;
    upstream_->deallocate(p, lines(bytes), at_least_line(alignment));
  }

  Upstream* const upstream_;
  strata::pmr::statistics figures_;  // upstream is worked out when asked
};

static_assert(strata::pmr::layered<cache_line_adaptor<>>);

}  // namespace consumer
