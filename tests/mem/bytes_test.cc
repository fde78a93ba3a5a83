// SPDX-License-Identifier: Apache-2.0
// Claims: rounding is exact for every unit and every edge; what would wrap is refused, and only that.
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>

import strata.mem;

namespace strata::mem {
namespace {

constexpr std::size_t top = SIZE_MAX;

TEST(Bytes, RoundsToTheNextMultipleOfEveryPowerOfTwo) {
  for (std::size_t unit = 1; unit <= 4096; unit *= 2) {
    for (std::size_t n = 0; n <= 3 * unit; ++n) {
      const std::size_t up = round_up(n, unit);
      EXPECT_EQ(up % unit, 0U);
      EXPECT_GE(up, n);
      EXPECT_LT(up - n, unit);
      EXPECT_EQ(round_down(n, unit), n / unit * unit);
    }
  }
}

TEST(Bytes, RefusesARoundUpThatWouldWrap) {
  std::size_t rounded = 0;
  EXPECT_TRUE(checked_round_up(top - 4095, 4096, rounded));
  EXPECT_EQ(rounded, top - 4095);
  EXPECT_FALSE(checked_round_up(top - 4094, 4096, rounded));
  EXPECT_FALSE(checked_round_up(top, 2, rounded));
  EXPECT_TRUE(checked_round_up(top, 1, rounded));
}

TEST(Bytes, RefusesSumsAndProductsThatWouldWrap) {
  std::size_t n = 0;
  EXPECT_TRUE(checked_add(top - 1, 1, n));
  EXPECT_EQ(n, top);
  EXPECT_FALSE(checked_add(top, 1, n));
  EXPECT_TRUE(checked_multiply(top / 2, 2, n));
  EXPECT_FALSE(checked_multiply(top / 2 + 1, 2, n));
}

TEST(Bytes, TakesTheLogarithmOfTheHighestBit) {
  EXPECT_EQ(log2_floor(1), 0U);
  for (unsigned bit = 1; bit < 64; ++bit) {
    EXPECT_EQ(log2_floor(std::size_t{1} << bit), bit);
    EXPECT_EQ(log2_floor((std::size_t{1} << bit) - 1), bit - 1);
  }
}

TEST(Bytes, KnowsAlignedAddresses) {
  alignas(64) std::byte bytes[128];
  EXPECT_TRUE(is_aligned(bytes, 64));
  EXPECT_FALSE(is_aligned(bytes + 32, 64));
  EXPECT_EQ(at<std::byte>(bytes + 64, -1), bytes + 63);
  EXPECT_EQ(address(bytes + 1) - address(bytes), 1U);
}

}  // namespace
}  // namespace strata::mem
