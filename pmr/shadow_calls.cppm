// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <cstdint>
#include <span>

export module strata.pmr:shadow_calls;

import :layer;
import :ledger;
import :misuse;
import :refusals;
import :report;
import :shadow_options;
import :shadow_sites;

import strata.mem;

/// What a shadow_resource does with blocks that are shadowed, and which those are. It is the same for every upstream, and
/// stands here once. Any thread; no lock is held while misuse is reported.
namespace strata::pmr {

class shadow_calls {
 public:
  explicit shadow_calls(const shadow& options);
  ~shadow_calls() = default;
  shadow_calls(const shadow_calls&) = delete;
  shadow_calls& operator=(const shadow_calls&) = delete;

  /// True when the next block is none to be shadowed; else draw() decides.
  [[nodiscard]] inline bool skips() noexcept { return sampler_.skips(); }
  [[nodiscard]] inline bool draw() noexcept { return sampler_.draw(); }

  [[nodiscard]] inline bool owns(const void* p) const noexcept { return pool_.owns(p); }
  /// Whether a pointer is of some shadow, so that it comes to deallocate() here.
  [[nodiscard]] inline bool concerns(const void* p) const noexcept { return pool_.space().contains(p); }

  /// Null: upstream is to serve it.
  [[nodiscard]] void* allocate(std::size_t bytes, std::size_t alignment, const void* caller) noexcept;
  /// Pre: concerns(p).
  void deallocate(void* p, std::size_t bytes, std::size_t alignment, const void* caller);
  [[nodiscard]] mem::shadow_pool::served reserve(std::size_t bytes, std::size_t alignment,
                                                 std::size_t blocks) noexcept {
    return pool_.reserve(bytes, alignment, blocks);
  }

  std::size_t flush() noexcept { return pool_.flush(); }
  std::size_t trim() noexcept { return pool_.trim(); }
  std::size_t tick(std::uint64_t now) noexcept { return pool_.tick(now); }

  [[nodiscard]] const char* check() const noexcept { return pool_.check(); }
  [[nodiscard]] statistics stats() const noexcept;
  [[nodiscard]] mem::shadow_figures figures() const noexcept { return pool_.figures(); }
  [[nodiscard]] std::size_t one_in() const noexcept { return sampler_.one_in(); }
  /// Requests that upstream had to serve since the pool could not.
  [[nodiscard]] std::size_t unguarded() const noexcept;
  [[nodiscard]] std::size_t degraded(std::span<degradation> out) const noexcept;

 private:
  void note_refusal(const mem::shadow_pool::served& refused) noexcept;

  const shadow options_;
  mem::shadow_pool pool_;
  mem::os_error unopened_;
  mem::sampler<mem::threads::any> sampler_;
  shared_ledger ledger_;
  refusals by_budget_;  ///< mappings, addresses
  refusals by_memory_;
  refusals by_os_;
  refusals in_child_;
  refusals too_large_;
};

}  // namespace strata::pmr
