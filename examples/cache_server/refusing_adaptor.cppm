// SPDX-License-Identifier: Apache-2.0
module;
#include <atomic>
#include <cstddef>
#include <memory_resource>
#include <new>

export module cache_server:refusing_adaptor;

import strata.pmr;

/// For trials: says no to one request in so many, as a machine without memory would, and passes the others on.
///
/// Role           adaptor: bytes pass through, none are made or kept here
/// Upstream       borrowed, never null, outlives this object
/// Owns           nothing
/// Thread safety  as upstream
/// Alignment      what upstream honours
/// Size           any
/// Complexity     O(1) plus upstream
/// Overhead       0 bytes a block
/// Throws         std::bad_alloc for every `one_in`th request; what upstream throws
/// Deallocate     noexcept
/// Equality       identity
/// Fork           as upstream
/// Exit           as upstream
/// Signals        not for signal handlers
/// Composes       below what is to be tried
export namespace cache_server {

class refusing_adaptor final : public strata::pmr::layer {
 public:
  using upstream_type = std::pmr::memory_resource;
  static constexpr bool thread_safe = true;
  static constexpr std::size_t max_alignment = std::size_t{1} << 62;
  static constexpr bool zeroed = false;
  static constexpr bool can_release = false;

  /// `one_in` 0: never.
  refusing_adaptor(std::pmr::memory_resource* upstream, std::size_t one_in) noexcept
      : layer("refusing", upstream), one_in_(one_in) {}

  [[nodiscard]] strata::pmr::statistics stats() const noexcept override {
    strata::pmr::statistics figures = ledger_.figures();
    figures.upstream = figures.live;
    return figures;
  }

 private:
  void* do_allocate(std::size_t bytes, std::size_t alignment) override {
    void* block = nullptr;
    try {
      if (one_in_ != 0 && asked_.fetch_add(1, std::memory_order_relaxed) % one_in_ == one_in_ - 1) {
        throw std::bad_alloc();
      }
      block = upstream()->allocate(bytes, alignment);
    } catch (...) {
      ledger_.failed();
      throw;
    }
    ledger_.handed_out(bytes);
    return block;
  }

  void do_deallocate(void* block, std::size_t bytes, std::size_t alignment) override {
    ledger_.taken_back(bytes);
    upstream()->deallocate(block, bytes, alignment);
  }

  const std::size_t one_in_;
  std::atomic<std::size_t> asked_{0};
  strata::pmr::shared_ledger ledger_;
};

static_assert(strata::pmr::layered<refusing_adaptor>);

}  // namespace cache_server
