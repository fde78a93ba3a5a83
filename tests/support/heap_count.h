// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

namespace strata::test {

/// Calls one thread made to the three global sources of memory.
///
/// A call of `operator new` that ends in `malloc` counts in both. Where a sanitizer owns the heap, `operator_new` stays
/// 0 and every such call is seen as `malloc` (heap_hooks.cc says how).
struct heap_use {
  std::size_t default_resource = 0;  ///< allocations from the counting default resource
  std::size_t operator_new = 0;      ///< calls of any global `operator new`
  std::size_t malloc = 0;            ///< calls of malloc, calloc, realloc, aligned_alloc, memalign, posix_memalign

  friend bool operator==(const heap_use&, const heap_use&) = default;
};

/// What the calling thread used since it started.
[[nodiscard]] heap_use heap_used_by_this_thread() noexcept;

/// True when the hooks are linked in and see a call of malloc made by this thread. A count of zero proves something
/// only then.
[[nodiscard]] bool heap_is_watched() noexcept;

/// Keeps the calling thread's calls out of the counts while it lives: for the kit's own bookkeeping and reports. Nests.
class uncounted {
 public:
  uncounted() noexcept;
  ~uncounted();
  uncounted(const uncounted&) = delete;
  uncounted& operator=(const uncounted&) = delete;
};

/// For the hooks: one more call by the calling thread. Safe inside malloc.
void count_default_resource() noexcept;
void count_operator_new() noexcept;
void count_malloc() noexcept;

}  // namespace strata::test
