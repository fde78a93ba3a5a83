// SPDX-License-Identifier: Apache-2.0
module;
#include <array>
#include <atomic>
#include <cstddef>

export module strata.mem:fragment_store;

import :fragment_map;
import :page_run;

import strata.platform;

/// The regions of one allocator, and blocks of fragments out of any of them.
///
/// Regions are added by one thread at a time and read by all, without a lock. Their tables stay until the end, so whoever
/// still looks at a region whose data has gone finds it full and empty-handed. One region costs one look; of several the
/// earliest with room serves, so that later ones may become empty.
///
/// Fork: the child finds every block that was live, and what threads it does not have were just taking or giving back is
/// free. It looks through all descriptors for that: a millisecond for some hundreds of megabytes.
///
/// Thread class of fragment_map; nothing throws, allocates or locks.
export namespace strata::mem {

class fragment_store {
 public:
  /// Each may be larger than the one before: enough for any machine.
  static constexpr std::size_t max_regions = 64;

  fragment_store() noexcept;
  ~fragment_store();
  fragment_store(const fragment_store&) = delete;
  fragment_store& operator=(const fragment_store&) = delete;

  /// As fragment_map::take(), from the first region that has room; `claim` sums up the looks, and is `full` only if every
  /// region was.
  [[nodiscard]] fragment_map::taken take(std::size_t n, std::size_t alignment, fragment_tag tag) noexcept;
  [[nodiscard]] fragment_fault put(void* block, std::size_t n, fragment_tag tag) noexcept;
  /// Pre: `block` is live and the caller's.
  void shrink(void* block, std::size_t n) noexcept;
  [[nodiscard]] fragment_map::found find(const void* p) const noexcept;

  /// Has one more region. Pre: there are fewer than max_regions; one thread at a time.
  void add(fragment_map* region) noexcept;
  [[nodiscard]] std::size_t regions() const noexcept { return count_.load(std::memory_order_acquire); }
  [[nodiscard]] fragment_map& region(std::size_t i) const noexcept { return *regions_[i]; }
  /// Forgets all regions. Pre: nobody else calls.
  void forget() noexcept { count_.store(0, std::memory_order_relaxed); }

  /// What the regions that have data hold, bytes. Right when nobody else calls just now.
  struct figures {
    std::size_t data;  ///< all fragments
    std::size_t free;  ///< those that lie in no block
  };
  [[nodiscard]] figures count() const noexcept;
  /// The longest run of free fragments, bytes.
  [[nodiscard]] std::size_t longest_free() const noexcept;

  /// A sentence, or null. Pre: nobody else calls just now.
  [[nodiscard]] const char* check() const noexcept;

  /// Why fork() does not know of this store, if it does not: a child may then lose what other threads had in hand.
  [[nodiscard]] os_error unknown_to_fork() const noexcept { return refused_; }

 private:
  static void in_child(void* store) noexcept;
  [[nodiscard]] fragment_map* region_of(const void* p) const noexcept;

  std::array<fragment_map*, max_regions> regions_{};
  std::atomic<std::size_t> count_{0};
  platform::fork_hook hook_;
  os_error refused_;
};

}  // namespace strata::mem
