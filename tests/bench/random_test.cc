// SPDX-License-Identifier: Apache-2.0
// Claims: chance is the same in every run, and spreads as it should; drawn sizes stay within their bounds.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <vector>

import bench;

namespace {

TEST(RandomNumbers, AreTheSameInEveryRunAndSpreadEvenly) {
  bench::random_numbers a(7);
  bench::random_numbers b(7);
  std::vector<int> hits(10);
  for (int i = 0; i < 100'000; ++i) {
    const std::size_t number = a.below(10);
    ASSERT_EQ(number, b.below(10));
    ++hits.at(number);
  }
  for (const int hit : hits) {
    EXPECT_GT(hit, 9'500);
    EXPECT_LT(hit, 10'500);
  }
}

TEST(LogUniformSizes, GiveEachDoublingTheSameShare) {
  const bench::log_uniform_sizes sizes(16, 1024);
  bench::random_numbers random(7);
  std::vector<int> hits(6);
  for (int i = 0; i < 60'000; ++i) {
    const std::size_t bytes = sizes.pick(random);
    std::size_t doubling = 0;
    while (doubling < 5 && bytes >= std::size_t{32} << doubling) ++doubling;
    ++hits[doubling];
  }
  for (const int hit : hits) {
    EXPECT_GT(hit, 9'000);
    EXPECT_LT(hit, 11'000);
  }
}

TEST(DrawnSizes, FillTheirTableWithinTheirBoundsAsTheSeedDecides) {
  const bench::drawn_sizes a(7, 9, 1), again(7, 9, 1), other(7, 9, 2);
  std::vector<int> hits(10);
  for (const std::size_t bytes : a.all()) ++hits.at(bytes);
  for (const std::size_t bytes : {7U, 8U, 9U}) EXPECT_GT(hits[bytes], 1200) << bytes;
  EXPECT_EQ(hits[7] + hits[8] + hits[9], 4096);
  EXPECT_TRUE(std::ranges::equal(a.all(), again.all()));
  EXPECT_FALSE(std::ranges::equal(a.all(), other.all()));
}

TEST(DrawnSizes, AreCountedRound) {
  const bench::drawn_sizes sizes(1, 512, 1);
  EXPECT_EQ(sizes[4096 + 5], sizes.all()[5]);
  bench::random_numbers random(1);
  for (int i = 0; i < 10'000; ++i) {
    const std::size_t bytes = sizes.pick(random);
    ASSERT_GE(bytes, 1U);
    ASSERT_LE(bytes, 512U);
  }
}

}  // namespace
