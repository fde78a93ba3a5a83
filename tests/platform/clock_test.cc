// SPDX-License-Identifier: Apache-2.0
// Claims: the clock goes forward and never back, for one thread and from thread to thread; without one it reads 0.
#include <gtest/gtest.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <thread>
#include <vector>

#include "tests/os_script/os_script.h"

import strata.platform;

namespace {

using strata::platform::monotonic_ns;

TEST(Clock, NeverGoesBackAndMovesOn) {
  const std::uint64_t start = monotonic_ns();
  EXPECT_GT(start, 0U);
  std::uint64_t last = start;
  for (int i = 0; i < 100'000; ++i) {
    const std::uint64_t now = monotonic_ns();
    ASSERT_GE(now, last);
    last = now;
  }
  EXPECT_GT(last, start);
}

TEST(Clock, NeverGoesBackFromThreadToThread) {
  std::atomic<std::uint64_t> latest{0};
  std::atomic<bool> went_back{false};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 10'000; ++i) {
        std::uint64_t seen = latest.load();
        const std::uint64_t now = monotonic_ns();
        if (now < seen) went_back = true;
        while (seen < now && !latest.compare_exchange_weak(seen, now)) continue;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_FALSE(went_back);
}

TEST(Clock, IsZeroWhereThereIsNone) {
  strata::test::os_script script;
  script.fail(strata::test::os_call::clock_gettime, 1, EINVAL);
  EXPECT_EQ(monotonic_ns(), 0U);
  EXPECT_GT(monotonic_ns(), 0U);
}

}  // namespace
