// SPDX-License-Identifier: Apache-2.0
// Claims: both tallies add, subtract and keep the highest; the one for any thread loses nothing among four.
#include <gtest/gtest.h>

#include <cstddef>
#include <thread>
#include <type_traits>
#include <vector>

import strata.mem;

namespace strata::mem {
namespace {

template <threads Threads>
void counts() {
  tally<Threads> t;
  t.add(5);
  t.subtract(2);
  EXPECT_EQ(t.get(), 3U);
  EXPECT_EQ(t.raise(2), 3U);
  EXPECT_EQ(t.get(), 3U);
  EXPECT_EQ(t.raise(9), 9U);
  EXPECT_EQ(t.get(), 9U);
  t.set(1);
  EXPECT_EQ(t.get(), 1U);
}

TEST(Tally, AddsSubtractsAndKeepsTheHighest) {
  counts<threads::one>();
  counts<threads::any>();
}

TEST(Tally, LosesNothingAmongFourThreads) {
  tally<threads::any> sum;
  tally<threads::any> highest;
  std::vector<std::thread> four;
  for (std::size_t t = 0; t < 4; ++t) {
    four.emplace_back([&, t] {
      for (std::size_t i = 0; i < 10'000; ++i) {
        sum.add(1);
        highest.raise(4 * i + t);
      }
    });
  }
  for (std::thread& t : four) t.join();
  EXPECT_EQ(sum.get(), 40'000U);
  EXPECT_EQ(highest.get(), 39'999U);
}

TEST(Threads, OneThreadNeedsNoLock) {
  EXPECT_TRUE((std::is_same_v<mutex_for<threads::one>, no_mutex>));
  EXPECT_TRUE((std::is_same_v<mutex_for<threads::any>, mutex>));
  EXPECT_TRUE((std::is_same_v<small_mutex_for<threads::any>, small_mutex>));
}

}  // namespace
}  // namespace strata::mem
