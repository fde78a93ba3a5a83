// SPDX-License-Identifier: Apache-2.0
// Claims: a budget is kept to the byte, also when more is held than it allows; arenas are what is needed at least, an
// eighth of the heap at best, whole pages where the budget lets them be; what may be kept empty follows the heap.
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>

import strata.pmr;

namespace strata::pmr {
namespace {

constexpr std::size_t kib = 1024;
constexpr std::size_t mib = 1024 * kib;

TEST(HeapOptions, KeepABudgetToTheByte) {
  const heap options{.max_bytes = 100 * kib};
  EXPECT_TRUE(options.may_hold(0, 100 * kib));
  EXPECT_FALSE(options.may_hold(0, 100 * kib + 1));
  EXPECT_FALSE(options.may_hold(1, 100 * kib));
  EXPECT_FALSE(options.may_hold(200 * kib, 1));
  EXPECT_FALSE(options.may_hold(1, SIZE_MAX));
}

TEST(HeapOptions, AskForWhatIsNeededAndALittleAhead) {
  const shared_heap options{.min_arena = 64 * kib, .max_arena = 2 * mib, .max_bytes = 10 * mib};
  EXPECT_EQ(options.next_arena(0, 1), 64 * kib);
  EXPECT_EQ(options.next_arena(8 * mib, 1), 1 * mib);
  EXPECT_EQ(options.next_arena(9 * mib, 1), 1 * mib) << "all that is left";
  EXPECT_EQ((shared_heap{.max_arena = 2 * mib}.next_arena(800 * mib, 1)), 2 * mib);
  EXPECT_GE(options.next_arena(0, 5 * mib + 1), 5 * mib + 1);
  EXPECT_EQ(options.next_arena(0, 5 * mib + 1) % (4 * kib), 0U);
  EXPECT_EQ(options.next_arena(10 * mib - 48, 48), 48U) << "no more than there may be";
}

TEST(HeapOptions, KeepAnEighthEmpty) {
  const heap options{.keep_empty = 1 * mib};
  EXPECT_EQ(options.may_keep(0), 1 * mib);
  EXPECT_EQ(options.may_keep(80 * mib), 10 * mib);
}

}  // namespace
}  // namespace strata::pmr
