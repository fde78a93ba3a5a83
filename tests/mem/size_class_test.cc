// SPDX-License-Identifier: Apache-2.0
// Claims: every size gets the smallest class that holds it; waste is at most 15 bytes up to 256 and an eighth above;
// for every size and alignment the class size is a multiple of the alignment (exhaustive).
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>

import strata.mem;

namespace strata::mem {
namespace {

TEST(SizeClass, HoldsEverySizeInTheSmallestClassThereIs) {
  for (std::size_t bytes = 0; bytes <= size_class::largest; ++bytes) {
    const std::size_t c = size_class::of(bytes);
    ASSERT_LT(c, size_class::count);
    ASSERT_GE(size_class::bytes(c), bytes);
    if (c > 0) ASSERT_LT(size_class::bytes(c - 1), std::max<std::size_t>(bytes, 1));
  }
}

TEST(SizeClass, WastesNoMoreThanStated) {
  for (std::size_t bytes = 1; bytes <= size_class::largest; ++bytes) {
    const std::size_t waste = size_class::bytes(size_class::of(bytes)) - bytes;
    if (bytes <= 256) {
      ASSERT_LE(waste, 15U) << bytes;
    } else {
      ASSERT_LE(waste * 8, bytes) << bytes;
    }
  }
}

TEST(SizeClass, IsAMultipleOfTheAlignmentOfEveryRequest) {
  for (std::size_t alignment = 1; alignment <= size_class::largest; alignment *= 2) {
    for (std::size_t bytes = 0; bytes <= size_class::largest; ++bytes) {
      const std::size_t asked = size_class::aligned(bytes, alignment);
      if (asked > size_class::largest) continue;
      const std::size_t got = size_class::bytes(size_class::of(asked));
      ASSERT_GE(got, bytes);
      ASSERT_EQ(got % alignment, 0U) << bytes << " aligned to " << alignment;
    }
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
