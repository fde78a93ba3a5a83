// SPDX-License-Identifier: Apache-2.0
// Claims: both forms of a tally add, subtract, set and raise alike; the shared one counts what many threads add; a lock
// for one thread is no obstacle.
#include <gtest/gtest.h>

#include <cstddef>
#include <thread>
#include <type_traits>
#include <vector>

import strata.mem;

namespace strata::mem {
namespace {

template <threads Threads>
void count() {
  tally<Threads> t;
  EXPECT_EQ(t.get(), 0U);
  t.add(5);
  t.subtract(2);
  EXPECT_EQ(t.get(), 3U);
  EXPECT_EQ(t.raise(2), 3U);
  EXPECT_EQ(t.raise(7), 7U);
  EXPECT_EQ(t.get(), 7U);
  t.set(1);
  EXPECT_EQ(t.get(), 1U);
  t.subtract(2);
  t.add(2);
  EXPECT_EQ(t.get(), 1U);
}

TEST(Tally, CountsInBothForms) {
  count<threads::any>();
  count<threads::one>();
}

TEST(Tally, CountsWhatManyThreadsAdd) {
  tally<threads::any> sum;
  tally<threads::any> most;
  std::vector<std::thread> crew;
  for (std::size_t t = 1; t <= 4; ++t) {
    crew.emplace_back([&, t] {
      for (std::size_t i = 0; i < 1000; ++i) {
        sum.add(t);
        most.raise(i * t);
      }
    });
  }
  for (std::thread& t : crew) t.join();
  EXPECT_EQ(sum.get(), 10'000U);
  EXPECT_EQ(most.get(), 3'996U);
}

TEST(MutexFor, IsNoObstacleToOneThread) {
  static_assert(std::is_same_v<mutex_for<threads::any>, mutex>);
  mutex_for<threads::one> none(7);
  none.lock();
  none.unlock();
  small_mutex_for<threads::one> small;
  const lock held(small);
}

}  // namespace
}  // namespace strata::mem
