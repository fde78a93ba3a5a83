// SPDX-License-Identifier: Apache-2.0
// Claims: both ledgers count alike; peak is the highest live ever; the shared one loses nothing under four threads.
#include <gtest/gtest.h>

#include <cstddef>
#include <thread>
#include <vector>

import strata.pmr;

namespace strata::pmr {
namespace {

template <class Ledger>
struct LedgerOf : testing::Test {};
using both = testing::Types<ledger, shared_ledger>;
TYPED_TEST_SUITE(LedgerOf, both);

TYPED_TEST(LedgerOf, CountsLivePeakBlocksAndCalls) {
  TypeParam books;
  books.handed_out(100);
  books.handed_out(0);
  books.taken_back(100);
  books.handed_out(60);
  books.failed();
  const statistics s = books.figures();
  EXPECT_EQ(s.live, 60U);
  EXPECT_EQ(s.peak, 100U);
  EXPECT_EQ(s.live_blocks, 2U);
  EXPECT_EQ(s.allocations, 3U);
  EXPECT_EQ(s.failures, 1U);
}

TEST(Ledger, CountsAResizedBlockAndARelease) {
  ledger books;
  books.handed_out(100);
  books.resized(100, 400);
  books.resized(400, 10);
  EXPECT_EQ(books.figures().live, 10U);
  EXPECT_EQ(books.figures().peak, 400U);
  books.released();
  EXPECT_EQ(books.figures().live, 0U);
  EXPECT_EQ(books.figures().live_blocks, 0U);
}

TEST(SharedLedger, LosesNothingUnderFourThreads) {
  shared_ledger books;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&books] {
      for (int i = 0; i < 10'000; ++i) {
        books.handed_out(3);
        if (i % 2 == 0) books.taken_back(3);
      }
    });
  }
  for (std::thread& t : threads) t.join();
  const statistics s = books.figures();
  EXPECT_EQ(s.live, 4U * 5'000 * 3);
  EXPECT_EQ(s.live_blocks, 4U * 5'000);
  EXPECT_EQ(s.allocations, 4U * 10'000);
  EXPECT_GE(s.peak, s.live);
  EXPECT_LE(s.peak, 4U * 10'000 * 3);
}

}  // namespace
}  // namespace strata::pmr
