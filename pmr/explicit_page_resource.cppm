// SPDX-License-Identifier: Apache-2.0
module;
#include <atomic>
#include <cstddef>
#include <span>

export module strata.pmr:explicit_page_resource;

import :layer;
import :ledger;
import :refusals;
import :report;

import strata.mem;

/// Large pages from the pools that the OS keeps of them (Linux: hugetlb), else ordinary pages.
///
/// Role           source: the bytes of a stack come from here
/// Upstream       none; the OS
/// Owns           nothing but a table of blocks that came from a pool: each block is a mapping of its own
/// Thread safety  every member from any thread
/// Alignment      any power of two up to 1 GiB; a page of the kind obtained at least
/// Size           any. From a pool in its whole pages, but only if rounding up wastes no more than an eighth; so what is
///                small, or far from a multiple, comes in ordinary pages, and no counter pins 1 GiB
/// Complexity     one system call or a few
/// Overhead       rounding to pages; 16 to 64 bytes of table for a block from a pool
/// Throws         allocation_error with the OS's errno; when strict also when no pool could serve what should come from
///                one. Nothing has changed
/// Deallocate     noexcept; size and alignment as allocated, else undefined. Pages the OS refuses to take back are
///                counted, and stay mapped
/// Equality       identity
/// Fork           the child has a private copy of every block; of pool pages it needs a free one to write, and without
///                one it is killed (SIGBUS): fork, then exec, or keep them from the child
/// Exit           usable as long as it lives; a block alive at destruction is a misuse
/// Signals        not for signal handlers
/// Composes       at the bottom of a stack, below large_pages{} for the whole ladder, below a keeper
///
/// Memory from a pool is set aside for its block: touching it cannot fail, and it is never swapped out.
export namespace strata::pmr {

class explicit_page_resource;

/// An explicit_page_resource in a stack.
struct explicit_pages {
  using layer_type = explicit_page_resource;

  const char* name = "explicit_pages";  ///< in reports and errors; outlives the layer
  std::size_t largest =
      std::size_t{2} << 20;  ///< bytes of the largest page to ask for. Pools of smaller ones are tried after it
  bool strict = false;  ///< a block that should come from a pool and cannot is an exception, and not a degraded state
  const char* label = "strata";  ///< name of ordinary pages in the OS's tools; null for none; outlives the layer
};

class explicit_page_resource final : public direct_layer<explicit_page_resource> {
 public:
  static constexpr bool thread_safe = true;
  static constexpr std::size_t max_alignment = mem::max_run_alignment;
  static constexpr bool zeroed = true;
  static constexpr bool can_release = false;
  static constexpr bool wants_all_back = true;

  explicit explicit_page_resource(explicit_pages options = {});
  ~explicit_page_resource() override;

  [[nodiscard]] statistics stats() const noexcept override;
  [[nodiscard]] std::size_t degraded(std::span<degradation> out) const noexcept override;

  /// Bytes of live blocks in pages from a pool.
  [[nodiscard]] std::size_t pool_bytes() const noexcept { return pool_bytes_.load(std::memory_order_relaxed); }
  /// The same, as the OS says, of what was touched.
  [[nodiscard]] std::size_t large_bytes() const noexcept;

 private:
  friend direct_layer;
  static constexpr std::size_t most_sizes = 8;

  [[nodiscard]] void* do_allocate(std::size_t bytes, std::size_t alignment) override;
  void do_deallocate(void* p, std::size_t bytes, std::size_t alignment) override;

  [[nodiscard]] mem::page_run_result from_pool(std::size_t bytes, std::size_t alignment, bool& due) noexcept;

  const explicit_pages options_;
  std::size_t sizes_[most_sizes] = {};  // of pool pages, largest first
  std::size_t size_count_ = 0;
  shared_ledger ledger_;
  mem::block_registry pool_blocks_;  // and the bytes of their runs
  std::atomic<std::size_t> mapped_{0};
  std::atomic<std::size_t> pool_bytes_{0};
  refusals misses_;
  std::atomic<std::size_t> stranded_{0};  // bytes the OS would not take back
};

static_assert(source<explicit_page_resource>);

}  // namespace strata::pmr
