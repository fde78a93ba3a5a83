// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <memory_resource>

export module strata.pmr:borrowed_resource;

import :layer;
import :ledger;
import :report;

import strata.mem;

/// Somebody else's memory_resource as the source of a stack: whatever is no Strata layer comes in here.
///
/// Role           source: asks the borrowed resource, counts what it gives
/// Upstream       none that is a layer; the borrowed resource, never null, outlives this object
/// Owns           nothing
/// Thread safety  as the borrowed resource; the figures count for any thread
/// Alignment      what the borrowed resource honours
/// Size           any; zero is forwarded
/// Complexity     O(1) plus the borrowed resource
/// Overhead       0 bytes a block
/// Throws         what the borrowed resource throws; nothing has changed
/// Deallocate     noexcept; size and alignment as allocated, else undefined
/// Equality       identity
/// Fork           as the borrowed resource
/// Exit           as the borrowed resource
/// Signals        not for signal handlers
/// Composes       at the bottom of a stack
export namespace strata::pmr {

class borrowed_resource;

/// A borrowed resource in a stack: stack{borrowed{&resource}, heap{}}.
struct borrowed {
  using layer_type = borrowed_resource;

  std::pmr::memory_resource* resource;  ///< never null
  const char* name = "borrowed";        ///< in reports and errors; outlives the layer
};

class borrowed_resource final : public direct_layer<borrowed_resource> {
 public:
  static constexpr bool thread_safe = false;  ///< unknown here: synchronized{} above it is never wrong
  static constexpr std::size_t max_alignment = mem::max_object / 2 + 1;
  static constexpr bool zeroed = false;
  static constexpr bool can_release = false;

  explicit borrowed_resource(borrowed options) noexcept;

  [[nodiscard]] statistics stats() const noexcept override;

  /// As the borrowed resource says, if it is a layer; else what memory of a process does.
  [[nodiscard]] fork_policy at_fork() const noexcept override;

 private:
  friend direct_layer;

  [[nodiscard]] void* do_allocate(std::size_t bytes, std::size_t alignment) override;
  void do_deallocate(void* p, std::size_t bytes, std::size_t alignment) override;

  std::pmr::memory_resource* const resource_;
  shared_ledger ledger_;
};

static_assert(source<borrowed_resource>);

}  // namespace strata::pmr
