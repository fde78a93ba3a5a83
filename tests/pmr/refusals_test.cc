// SPDX-License-Identifier: Apache-2.0
// Claims: refusals are counted and the last cause is told; of states only those that came about are, in order, and all
// of them are counted though few fit; threads lose no count.
#include <gtest/gtest.h>

#include <array>
#include <cerrno>
#include <thread>
#include <vector>

import strata.pmr;

namespace strata::pmr {
namespace {

TEST(Refusals, AreCountedWithTheLastCause) {
  refusals some;
  EXPECT_EQ(some.because("r").times, 0U);
  some.note({"mmap", ENOMEM});
  some.note({"mlock", EPERM});
  const degradation told = some.because("r");
  EXPECT_EQ(told.times, 2U);
  EXPECT_EQ(told.cause.code, EPERM);
  EXPECT_STREQ(told.cause.call, "mlock");
  EXPECT_STREQ(told.reason, "r");
}

TEST(Refusals, OnlyStatesThatCameAboutAreTold) {
  refusals some;
  some.note({"mmap", ENOMEM});
  std::array<degradation, 1> one{};
  EXPECT_EQ(tell({refusals().because("none"), some.because("first"), {"second", {}, 3}}, one), 2U);
  EXPECT_STREQ(one[0].reason, "first");
  EXPECT_EQ(tell({refusals().because("none")}, one), 0U);
}

TEST(Refusals, OfSeveralThreadsAreAllCounted) {
  refusals some;
  std::vector<std::thread> crew;
  for (int t = 0; t < 4; ++t) {
    crew.emplace_back([&some] {
      for (int i = 0; i < 1000; ++i) some.note({"mmap", ENOMEM});
    });
  }
  for (std::thread& t : crew) t.join();
  EXPECT_EQ(some.because("r").times, 4000U);
}

}  // namespace
}  // namespace strata::pmr
