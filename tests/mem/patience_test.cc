// SPDX-License-Identifier: Apache-2.0
// Claims: patience lasts for so many looks however late it is, and for so long however many looks there were, and then ends;
// others run at every look but the first few, which ask no clock; without a clock looks alone count.
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>

import strata.mem;

namespace strata::mem {
namespace {

struct scripted_clock {
  static inline std::uint64_t time = 0;
  static inline std::size_t yields = 0;
  static inline std::size_t asked = 0;
  static void let_others_run() noexcept { ++yields; }
  static std::uint64_t now() noexcept {
    ++asked;
    return time;
  }
};

using scripted = patience<scripted_clock>;

struct Patience : testing::Test {
  Patience() {
    scripted_clock::time = 5;
    scripted_clock::yields = 0;
    scripted_clock::asked = 0;
  }
  scripted tried;
  std::size_t lasting(std::size_t looks) {
    std::size_t yes = 0;
    for (std::size_t i = 0; i < looks; ++i) yes += tried.lasts() ? 1 : 0;
    return yes;
  }
};

TEST_F(Patience, CostsNothingAtFirst) {
  EXPECT_EQ(lasting(scripted::free_looks - 1), scripted::free_looks - 1);
  EXPECT_EQ(scripted_clock::yields, 0U);
  EXPECT_EQ(scripted_clock::asked, 0U);
  EXPECT_TRUE(tried.lasts());
  EXPECT_TRUE(tried.lasts());
  EXPECT_EQ(scripted_clock::yields, 2U);
  EXPECT_EQ(scripted_clock::asked, 1U);
}

TEST_F(Patience, LastsForSoManyLooksHoweverLateItIs) {
  EXPECT_EQ(lasting(scripted::free_looks), scripted::free_looks);
  scripted_clock::time += 1000 * scripted::most_ns;
  EXPECT_EQ(lasting(scripted::most_looks), scripted::most_looks - scripted::free_looks - 1);
  EXPECT_FALSE(tried.lasts());
}

TEST_F(Patience, LastsForSoLongHoweverManyLooksThereWere) {
  EXPECT_EQ(lasting(20 * scripted::most_looks), 20 * scripted::most_looks);
  scripted_clock::time += scripted::most_ns - 1;
  EXPECT_TRUE(tried.lasts());
  scripted_clock::time += 1;
  EXPECT_FALSE(tried.lasts());
}

TEST_F(Patience, WithoutAClockLooksAloneCount) {
  scripted_clock::time = 0;
  EXPECT_EQ(lasting(20 * scripted::most_looks), scripted::most_looks - 1);
}

TEST_F(Patience, GoesByTheClockOfTheMachine) {
  patience<> real;
  const std::uint64_t began = monotonic_ns();
  while (real.lasts()) {
  }
  EXPECT_GE(monotonic_ns() - began, patience<>::most_ns);
}

}  // namespace
}  // namespace strata::mem
