// SPDX-License-Identifier: Apache-2.0
// Claim: a resource equals itself, and another only where a block of one may go back to the other.
#include "tests/support/conformance.h"

namespace strata::test {

TEST_P(Conformance, EqualsItselfAlone) {
  const instance one = make();
  const instance other = make();
  const bool same = known().interchangeable;
  EXPECT_TRUE(one->is_equal(*one));
  EXPECT_TRUE(*one == *one);
  EXPECT_EQ(one->is_equal(*other), same) << "of two instances";
  EXPECT_EQ(other->is_equal(*one), same) << "of two instances, the other way round";
  EXPECT_EQ(*one == *other, same);
  EXPECT_EQ(*one != *other, !same);

  // Others of a type it cannot know.
  const recording_resource stranger;
  EXPECT_FALSE(one->is_equal(stranger));
  EXPECT_FALSE(stranger.is_equal(*one));
  EXPECT_FALSE(one->is_equal(upstream_)) << "it is not its upstream";
  EXPECT_FALSE(upstream_.is_equal(*one)) << "it is not its upstream";
  EXPECT_FALSE(one->is_equal(*std::pmr::null_memory_resource()));
}

TEST_P(Conformance, TakesBackWhatAnEqualOneGave) {
  instance one = make();
  instance other = make();
  ownership_table table;
  for (int i = 0; i < 50; ++i) table.allocate(*one, 40, 8);
  std::pmr::memory_resource& back = known().interchangeable ? *other : *one;
  table.deallocate_all(back);
}

}  // namespace strata::test
