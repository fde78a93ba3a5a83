// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory_resource>

#include "tests/support/heap_count.h"

namespace strata::test {

/// While it lives, std::pmr's default resource is one that counts, and the calling thread's use of the heap can be
/// read.
///
///     counting_default watch;
///     my_resource memory(&upstream);
///     std::pmr::vector<int> numbers(1000, &memory);
///     EXPECT_EQ(watch.used(), heap_use());   // neither operator new nor malloc nor the default resource
///
/// The default resource is the program's, the counts are the calling thread's: a thread that wants to know its own use
/// makes its own watch. Nests; ends in the reverse order of construction. Blocks taken from the counting default may
/// outlive it (it never goes away, and forwards to new_delete_resource()).
///
/// An exception object is memory from malloc: code that throws is seen to use the heap.
class counting_default {
 public:
  counting_default() noexcept;
  ~counting_default();
  counting_default(const counting_default&) = delete;
  counting_default& operator=(const counting_default&) = delete;

  /// What this thread used since construction. To be called by the thread that constructed.
  [[nodiscard]] heap_use used() const noexcept;

 private:
  std::pmr::memory_resource* const previous_;
  const heap_use before_;
};

}  // namespace strata::test
