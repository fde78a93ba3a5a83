// SPDX-License-Identifier: Apache-2.0
// Claims: threads exclude one another, with more threads than processors; what one wrote under the lock the next one
// sees; a sleeper is woken; a try waits for nobody.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <mutex>
#include <thread>
#include <vector>

import strata.mem;

namespace strata::mem {
namespace {

TEST(SmallMutex, IsFourBytes) { EXPECT_EQ(sizeof(small_mutex), 4U); }

TEST(SmallMutex, ExcludesOthers) {
  small_mutex m;
  std::array<int, 8> written{};
  bool torn = false;
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 5'000; ++i) {
        const lock held(m);
        for (const int each : written) torn = torn || each != written[0];
        for (int& each : written) each = t * 5'000 + i;
      }
    });
  }
  for (std::thread& t : threads) t.join();
  EXPECT_FALSE(torn);
}

TEST(SmallMutex, TriesWithoutWaiting) {
  small_mutex m;
  const auto is_free = [&] {
    bool had = false;
    std::thread([&] { had = std::unique_lock(m, std::try_to_lock).owns_lock(); }).join();
    return had;
  };
  EXPECT_TRUE(is_free());
  {
    const lock held(m);
    EXPECT_FALSE(is_free());
  }
  EXPECT_TRUE(is_free());
}

TEST(SmallMutex, WakesWhoSleeps) {
  small_mutex m;
  std::atomic<int> through{0};
  for (int round = 0; round < 100; ++round) {
    m.lock();
    std::atomic<int> waiting{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < 3; ++t) {
      threads.emplace_back([&] {
        ++waiting;
        const lock held(m);
        ++through;
      });
    }
    while (waiting != 3) std::this_thread::yield();
    for (int i = 0; i < 10; ++i) std::this_thread::yield();  // most are asleep by now; it is right either way
    m.unlock();
    for (std::thread& t : threads) t.join();
  }
  EXPECT_EQ(through, 300);
}

}  // namespace
}  // namespace strata::mem
