// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <cstdint>

#include "absl/base/thread_annotations.h"

export module strata.mem:large_page;

import :address_counts;
import :mutex;
import :page_run;

import strata.platform;

/// Large pages for blocks one has, and which blocks those are.
export namespace strata::mem {

using platform::backing;
using platform::page_sizes;

/// Size of the pages that make_large() works towards, bytes; 0: there are none. Looked up once in a process.
[[nodiscard]] std::size_t large_page_bytes() noexcept;

/// Steps to large pages, dearest first.
struct large_page_steps {
  bool advise = true;    ///< have the OS make them when the block is touched
  bool collapse = true;  ///< make what is there into large pages now, what is not included
  bool look = true;      ///< make everything resident and see what came of it
};

struct large_page_result {
  std::size_t asked = 0;     ///< bytes of the block in whole large pages
  std::size_t obtained = 0;  ///< of those, in large pages, as the OS says; 0 when nobody looked
  os_error missing{};        ///< why it is less, when it is known
  os_error no_memory{};      ///< the block could not be made resident: the machine has no memory for it
};

/// Works towards large pages for the whole ones within a block. Any thread; nothing throws or allocates.
[[nodiscard]] large_page_result make_large(void* block, std::size_t bytes, const large_page_steps& steps) noexcept;

/// Bytes of a block in whole large pages.
[[nodiscard]] std::size_t whole_large_bytes(const void* block, std::size_t bytes) noexcept;

/// What the OS says of the whole large pages in a block, as far as it tells.
[[nodiscard]] backing backing_of(const void* block, std::size_t bytes) noexcept;

/// A run of explicit large pages; see platform::map_large. It is a multiple of `page`, and given back by unmap_run().
[[nodiscard]] page_run_result map_large_run(std::size_t bytes, std::size_t page) noexcept;

/// Blocks and a number for each. Any thread; one lock; a fork leaves it free. Nothing throws or allocates but from the
/// OS.
class block_registry {
 public:
  /// Pre: `number` is not 0.
  [[nodiscard]] os_error add(const void* block, std::size_t number) noexcept;
  /// Returns its number; 0: it is not there.
  std::size_t remove(const void* block) noexcept;

  /// Sums up what `value(block, number)` says of each.
  template <class Value>
  [[nodiscard]] std::uint64_t sum(Value&& value) const {
    const lock held(lock_);
    std::uint64_t all = 0;
    blocks_.visit(
        [&](std::uintptr_t block, std::size_t number) { all += value(reinterpret_cast<const void*>(block), number); });
    return all;
  }

 private:
  mutable mutex lock_{"of large pages"};
  address_counts blocks_ ABSL_GUARDED_BY(lock_);
};

}  // namespace strata::mem
