// SPDX-License-Identifier: Apache-2.0
// Claims: an option that cannot be is named with its layer, its value and what it may be; one at either edge can be;
// options that can be allocate nothing.
#include <gtest/gtest.h>

#include <cstdint>
#include <string>

#include "tests/support/heap_count.h"
#include "tests/support/refusal.h"

import strata.pmr;

namespace strata::pmr {
namespace {

constexpr option_check check("fragments", "pool");

using test::refusal_of;

std::string within(std::uint64_t least, std::uint64_t most, std::uint64_t value) {
  return refusal_of([&] { check.within(least, most, "x", value); });
}
std::string power_of_two(std::uint64_t least, std::uint64_t most, std::uint64_t value) {
  return refusal_of([&] { check.power_of_two(least, most, "x", value); });
}

TEST(OptionCheck, NamesTheValueAndWhatItMayBe) {
  EXPECT_EQ(within(1, 64, 65), "strata::pmr::fragments \"pool\": x is 65; it has to be 1 to 64");
  EXPECT_EQ(within(1, 64, 0), "strata::pmr::fragments \"pool\": x is 0; it has to be 1 to 64");
  EXPECT_EQ(within(0, 32, 33), "strata::pmr::fragments \"pool\": x is 33; it has to be 32 at most");
  EXPECT_EQ(within(2, option_check::any, 1), "strata::pmr::fragments \"pool\": x is 1; it has to be 2 at least");
  EXPECT_EQ(power_of_two(16, option_check::any, 8),
            "strata::pmr::fragments \"pool\": x is 8; it has to be a power of two, 16 at least");
  EXPECT_EQ(power_of_two(1, 16, 3), "strata::pmr::fragments \"pool\": x is 3; it has to be a power of two, 1 to 16");
  EXPECT_EQ(power_of_two(1, 16, 32), "strata::pmr::fragments \"pool\": x is 32; it has to be a power of two, 1 to 16");
  EXPECT_EQ(power_of_two(1, 16, 0), "strata::pmr::fragments \"pool\": x is 0; it has to be a power of two, 1 to 16");
  EXPECT_EQ(refusal_of([] { check.require(false, "x", 0, "one in 1 is every block"); }),
            "strata::pmr::fragments \"pool\": x is 0; one in 1 is every block");
  EXPECT_EQ(refusal_of([] { check.require(false, "both are the same"); }),
            "strata::pmr::fragments \"pool\": both are the same");
  EXPECT_EQ(refusal_of([] { check.refuse("both are the same"); }),
            "strata::pmr::fragments \"pool\": both are the same");
}

TEST(OptionCheck, LetsThroughWhatCanBe) {
  EXPECT_EQ(within(1, 64, 1) + within(1, 64, 64) + within(0, option_check::any, 0), "");
  EXPECT_EQ(within(0, option_check::any, option_check::any), "");
  EXPECT_EQ(power_of_two(1, 16, 1) + power_of_two(1, 16, 16), "");
  EXPECT_EQ(power_of_two(1, option_check::any, std::uint64_t{1} << 63), "");
  EXPECT_EQ(refusal_of([] { check.require(true, "x", 0, "no"); }), "");
  EXPECT_EQ(refusal_of([] { check.require(true, "no"); }), "");
}

TEST(OptionCheck, AllocatesNothingForWhatCanBe) {
  ASSERT_TRUE(test::heap_is_watched());
  const test::heap_use before = test::heap_used_by_this_thread();
  check.within(1, 64, "x", 64);
  check.power_of_two(1, 16, "x", 16);
  check.require(true, "x", 0, "a remedy longer than a string keeps inside");
  check.require(true, "a sentence longer than a string keeps inside");
  EXPECT_EQ(test::heap_used_by_this_thread(), before);
}

}  // namespace
}  // namespace strata::pmr
