// SPDX-License-Identifier: Apache-2.0
// Claims: no more than the limit is ever live, whoever claims at the same time, and nobody is refused because of
// another who was; the smaller of bytes and share counts; what another cache holds counts when it has given it back,
// not before; peak, baseline and the suggestion made of it; the headroom of machines with and without such a cache and
// with a container's limit.
#include <gtest/gtest.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <thread>
#include <vector>

#include "tests/platform/fake_tree.h"

import strata.mem;

namespace strata::mem {
namespace {

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;
constexpr std::uint64_t kGiB = std::uint64_t{1} << 30;

// What the machine has, as a test wants it.
headroom there;
int looks = 0;
headroom look() noexcept {
  ++looks;
  return there;
}

TEST(Budget, RefusesWhatGoesBeyondAndNothingElse) {
  budget<threads::one> account({.bytes = 100});
  EXPECT_EQ(account.claim(60), refusal::none);
  EXPECT_EQ(account.claim(41), refusal::over_limit);
  EXPECT_EQ(account.claim(~std::size_t{0}), refusal::over_limit);
  EXPECT_EQ(account.live(), 60U);
  EXPECT_EQ(account.claim(40), refusal::none);
  EXPECT_EQ(account.claim(0), refusal::none);
  EXPECT_EQ(account.claim(1), refusal::over_limit);
  account.give(100);
  EXPECT_EQ(account.live(), 0U);
  EXPECT_EQ(account.peak(), 100U);
  EXPECT_EQ(account.claim(100), refusal::none);
}

TEST(Budget, ALowerLimitLeavesWhatIsLive) {
  budget<threads::one> account({.bytes = 100});
  ASSERT_EQ(account.claim(80), refusal::none);
  account.set_limit(50);
  EXPECT_EQ(account.live(), 80U);
  EXPECT_EQ(account.claim(1), refusal::over_limit);
  account.give(40);
  EXPECT_EQ(account.claim(10), refusal::none);
  account.set_limit(1000);
  EXPECT_EQ(account.claim(900), refusal::none);
}

TEST(Budget, TakesTheSmallerOfBytesAndShare) {
  there = {.at_once = kGiB, .in_time = kGiB};
  EXPECT_EQ((budget<threads::one>({.bytes = 1000, .share = 0.5, .look = look}).limit()), 1000U);
  EXPECT_EQ((budget<threads::one>({.bytes = kGiB, .share = 0.5, .look = look}).limit()), kGiB / 2);
  EXPECT_EQ((budget<threads::one>({.share = 1, .look = look}).limit()), kGiB);
}

TEST(Budget, CountsAnotherCacheWhenItHasGivenBackNotBefore) {
  there = {.at_once = 100 * kMiB, .in_time = 500 * kMiB};
  looks = 0;
  budget<threads::any> account({.share = 1, .look = look});
  EXPECT_EQ(account.limit(), 500 * kMiB);
  EXPECT_EQ(account.claim(100 * kMiB), refusal::none);
  EXPECT_EQ(looks, 1) << "what was there at the start needs no look";
  there.at_once = 0;  // all of it is taken, and the cache has not moved
  EXPECT_EQ(account.claim(1), refusal::not_yet);
  EXPECT_EQ(account.live(), 100 * kMiB);
  there.at_once = 200 * kMiB;  // now it has
  EXPECT_EQ(account.claim(200 * kMiB), refusal::none);
  there.at_once = 200 * kMiB;
  EXPECT_EQ(account.claim(200 * kMiB), refusal::none);
  EXPECT_EQ(account.claim(1), refusal::over_limit);
}

TEST(Budget, SuggestsAQuarterMoreThanTheBaselineSaw) {
  budget<threads::one> account({.bytes = kGiB});
  ASSERT_EQ(account.claim(100 * kMiB), refusal::none);
  account.give(99 * kMiB);
  EXPECT_EQ(account.suggested_limit(), 125 * kMiB);
  account.start_baseline();
  EXPECT_EQ(account.suggested_limit(), kMiB + kMiB / 4);
  ASSERT_EQ(account.claim(3 * kMiB + 1), refusal::none);
  EXPECT_EQ(account.suggested_limit(), 5 * kMiB + (std::size_t{64} << 10)) << "whole pages of 64 KiB";
  EXPECT_EQ(account.peak(), 100 * kMiB);
}

TEST(Budget, OfManyThreadsNoneIsRefusedForAnothersSakeAndTheLimitHolds) {
  constexpr std::size_t crew = 4;
  constexpr std::size_t each = 100;
  budget<threads::any> account({.bytes = crew * each});
  std::atomic<bool> refused{false};
  std::atomic<bool> done{false};
  std::vector<std::thread> threads;
  threads.emplace_back([&] {  // asks for what never fits
    while (!done) {
      if (account.claim(crew * each + 1) == refusal::none) refused = true;
    }
  });
  for (std::size_t t = 0; t < crew; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 20'000; ++i) {
        if (account.claim(each) != refusal::none) refused = true;
        account.give(each);
      }
    });
  }
  for (std::size_t t = 1; t < threads.size(); ++t) threads[t].join();
  done = true;
  threads.front().join();
  EXPECT_FALSE(refused);
  EXPECT_EQ(account.live(), 0U);
  EXPECT_LE(account.peak(), account.limit());
}

using Headroom = test::fake_tree;

TEST_F(Headroom, IsWhatIsAvailableWhereThereIsNoOtherCache) {
  write("/proc/meminfo", "MemTotal: 8388608 kB\nMemFree: 1048576 kB\nMemAvailable: 2097152 kB\n");
  const headroom found = measure_headroom(root());
  EXPECT_EQ(found.at_once, 2 * kGiB);
  EXPECT_EQ(found.in_time, 2 * kGiB);
}

TEST_F(Headroom, AddsWhatAnotherCacheWouldGiveBackInTimeUpToTheLimit) {
  write("/proc/meminfo", "MemTotal: 8388608 kB\nMemFree: 1048576 kB\nMemAvailable: 2097152 kB\n");
  write("/proc/spl/kstat/zfs/arcstats", "size 4 4294967296\nc_min 4 1073741824\nc_max 4 6442450944\n");
  const headroom found = measure_headroom(root());
  EXPECT_EQ(found.at_once, 2 * kGiB);
  EXPECT_EQ(found.in_time, 5 * kGiB);
  write("/proc/self/cgroup", "0::/box\n");
  write("/proc/self/mountinfo", "30 20 0:26 / " + std::string(root()) + " rw - cgroup2 cgroup2 rw\n");
  write("/proc/spl/kstat/zfs/arcstats", "size 4 1000\nc_min 4 2000\nc_max 4 6442450944\n");
  EXPECT_EQ(measure_headroom(root()).in_time, 2 * kGiB) << "a cache at its minimum gives nothing";
}

}  // namespace
}  // namespace strata::mem
