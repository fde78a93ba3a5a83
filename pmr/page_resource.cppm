// SPDX-License-Identifier: Apache-2.0
module;
#include <atomic>
#include <cstddef>
#include <optional>
#include <span>

#include "absl/base/thread_annotations.h"

export module strata.pmr:page_resource;

import :layer;
import :ledger;
import :report;

import strata.mem;

/// Whole pages from the OS, a mapping for each block.
///
/// Role           source: the bytes of a stack come from here
/// Upstream       none; the OS
/// Owns           nothing: each block is a mapping of its own, given back when deallocated
/// Thread safety  every member from any thread
/// Alignment      any power of two up to 1 GiB; a page at least
/// Size           any; rounded up to whole pages, zero takes one page
/// Complexity     one system call or two; a page costs its first touch. With `knows_resident` a lock, and 16 to 64 bytes
///                from the OS for each block
/// Overhead       rounding to pages
/// Throws         allocation_error with the OS's errno; nothing has changed
/// Deallocate     noexcept; size as allocated, else undefined. Pages the OS refuses to take back are kept, counted and
///                tried again
/// Equality       identity
/// Fork           the child has a private copy of every block; both sides go on
/// Exit           usable as long as it lives; a block alive at destruction is a misuse
/// Signals        not for signal handlers
/// Composes       at the bottom of a stack, below a keeper: a system call a block is too dear for small ones
export namespace strata::pmr {

class page_resource;

/// A page_resource in a stack.
struct pages {
  using layer_type = page_resource;

  const char* name = "pages";  ///< in reports and errors; outlives the layer
  bool prefault =
      false;  ///< make pages resident at once: no first-touch cost later, and no memory is an exception, not a signal
  const char* label = "strata";  ///< name of the mappings in /proc/self/smaps; null for none; outlives the layer
  bool knows_resident = false;   ///< remember the blocks, so that resident() can tell
};

class page_resource final : public direct_layer<page_resource> {
 public:
  static constexpr bool thread_safe = true;
  static constexpr std::size_t max_alignment = mem::max_run_alignment;
  static constexpr bool zeroed = true;
  static constexpr bool can_release = false;
  static constexpr bool wants_all_back = true;

  explicit page_resource(pages options = {}) noexcept;
  ~page_resource() override;

  [[nodiscard]] statistics stats() const noexcept override;
  [[nodiscard]] std::size_t degraded(std::span<degradation> out) const noexcept override;

  /// Bytes of all blocks that are in RAM. Nothing without `knows_resident`, or when the OS does not tell. O(pages).
  [[nodiscard]] std::optional<std::size_t> resident() const noexcept override;

  /// Tries again to give back what the OS refused before. Returns the bytes it took.
  std::size_t trim() noexcept;

 private:
  friend direct_layer;

  [[nodiscard]] void* do_allocate(std::size_t bytes, std::size_t alignment) override;
  void do_deallocate(void* p, std::size_t bytes, std::size_t alignment) override;

  const pages options_;
  shared_ledger ledger_;
  std::atomic<std::size_t> mapped_{0};          ///< bytes of all blocks, rounded to pages; stranded ones not included
  std::atomic<std::size_t> refusals_{0};        ///< times the OS would not take pages back
  std::atomic<std::size_t> stranded_bytes_{0};  ///< copy of stranded_.bytes(), to be looked at without the lock
  std::atomic<bool> knows_all_{true};           ///< every block is in blocks_, where that is wanted
  mem::block_registry blocks_;                  ///< and the bytes of their runs; with `knows_resident`
  mutable mem::mutex mutex_{"of a page_resource"};
  mem::stranded_runs stranded_ ABSL_GUARDED_BY(mutex_);
};

static_assert(source<page_resource>);

}  // namespace strata::pmr
