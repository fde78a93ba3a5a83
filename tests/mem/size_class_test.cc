// SPDX-License-Identifier: Apache-2.0
// Claims: every size gets the smallest class that holds it; waste is at most 7 bytes up to 128, 15 up to 512, 31 up to 1024 and
// an eighth above;
// for every size and alignment the class size is a multiple of the alignment (exhaustive).
#include <gtest/gtest.h>

#include <cstddef>

import strata.mem;

namespace strata::mem {
namespace {

TEST(SizeClass, HoldsEverySizeInTheSmallestClassThereIs) {
  for (std::size_t bytes = 1; bytes <= size_class::largest; ++bytes) {
    const std::size_t c = size_class::of(bytes);
    ASSERT_LT(c, size_class::count);
    ASSERT_GE(size_class::bytes(c), bytes);
    if (c > 0) ASSERT_LT(size_class::bytes(c - 1), bytes);
  }
}

TEST(SizeClass, WastesNoMoreThanStated) {
  for (std::size_t bytes = 1; bytes <= size_class::largest; ++bytes) {
    const std::size_t waste = size_class::bytes(size_class::of(bytes)) - bytes;
    if (bytes <= size_class::smallest) {
      ASSERT_EQ(waste, size_class::smallest - bytes);
    } else if (bytes <= 1024) {
      ASSERT_LE(waste, bytes <= 128 ? 7U : bytes <= 512 ? 15U : 31U) << bytes;
    } else {
      ASSERT_LE(waste * 8, bytes) << bytes;
    }
  }
}

TEST(SizeClass, IsAMultipleOfTheAlignmentOfEveryRequest) {
  for (std::size_t alignment = 1; alignment <= size_class::largest; alignment *= 2) {
    for (std::size_t bytes = 1; bytes <= size_class::largest; ++bytes) {
      const std::size_t last = size_class::last_byte(bytes, alignment);
      if (last >= size_class::largest) continue;
      const std::size_t got = size_class::bytes(size_class::with(last));
      ASSERT_GE(got, bytes);
      ASSERT_EQ(got % alignment, 0U) << bytes << " aligned to " << alignment;
    }
  }
}

TEST(SizeClass, HasNoneForNothingNorForMoreThanTheLargest) {
  for (std::size_t alignment = 1; alignment != 0; alignment *= 2) {
    EXPECT_GE(size_class::last_byte(0, alignment), size_class::largest);
    EXPECT_GE(size_class::last_byte(size_class::largest + 1, alignment), size_class::largest);
    EXPECT_GE(size_class::last_byte(~std::size_t{0}, alignment), size_class::largest);
  }
}

TEST(SizeClass, SizesRiseAndAreMultiplesOfTheQuantum) {
  for (std::size_t c = 0; c < size_class::count; ++c) {
    EXPECT_EQ(size_class::bytes(c) % size_class::quantum, 0U);
    if (c > 0) EXPECT_GT(size_class::bytes(c), size_class::bytes(c - 1));
  }
}

}  // namespace
}  // namespace strata::mem
