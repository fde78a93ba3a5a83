// SPDX-License-Identifier: Apache-2.0
// Claim: neither construction, nor a request served, nor a block taken back, nor destruction uses operator new, malloc
// or the default resource. (A request refused does: an exception is memory from malloc.)
#include "tests/support/conformance.h"
#include "tests/support/counting_default.h"

namespace strata::test {

TEST_P(Conformance, TakesNothingFromTheHeap) {
  if (known().uses_heap) GTEST_SKIP() << "not promised by this resource";
  ASSERT_TRUE(heap_is_watched())
      << "link @strata//tests/support:heap_hooks, or the program's own malloc hides its calls";
  random_requests random(random_seed(), max_bytes(), max_alignment());
  ownership_table table;
  const counting_default watch;
  heap_use constructed;
  heap_use allocated;
  heap_use deallocated;
  {
    instance tested = make();
    constructed = watch.used();
    for (int i = 0; i < 1000; ++i) {
      const std::size_t bytes = random.bytes();
      const std::size_t alignment = random.once_in(8) ? random.alignment() : std::size_t{1} << random.below(5);
      if (alignment <= max_alignment() && table.bytes() + bytes + alignment <= known().max_live_bytes) {
        table.allocate(*tested, bytes, alignment);
      }
    }
    allocated = watch.used();
    table.deallocate_all(*tested);
    deallocated = watch.used();
    tested.release();
  }
  const heap_use destroyed = watch.used();

  const auto expect_none = [](const heap_use& before, const heap_use& after, const char* when) {
    EXPECT_EQ(after.default_resource, before.default_resource) << "from the default resource, " << when;
    EXPECT_EQ(after.operator_new, before.operator_new) << "operator new, " << when;
    EXPECT_EQ(after.malloc, before.malloc) << "malloc, " << when;
  };
  expect_none({}, constructed, "construction");
  expect_none(constructed, allocated, "allocation");
  expect_none(allocated, deallocated, "deallocation");
  expect_none(deallocated, destroyed, "destruction");
}

}  // namespace strata::test
