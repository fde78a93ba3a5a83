// SPDX-License-Identifier: Apache-2.0
// Claims: slots are aligned, apart and inside the chunk, and a chunk is used up but for less than a slot; the slot of an
// offset is found, and only where one starts; what cannot be has no slots.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>

import strata.mem;

namespace strata::mem {
namespace {

TEST(SlotShape, HoldsSlotsOfAnySizeAndAlignment) {
  for (std::size_t alignment = 1; alignment <= 8192; alignment *= 2) {
    for (const std::size_t bytes : {0U, 1U, 3U, 8U, 24U, 100U, 4096U, 70'000U}) {
      for (const std::size_t chunk : {0U, 1U, 5000U, 65'536U}) {
        for (const std::uint32_t least : {0U, 1U, 8U, 1000U}) {
          const slot_shape s = slot_shape::of(bytes, alignment, chunk, least);
          ASSERT_GE(s.slots, std::max(least, 1U));
          ASSERT_GE(s.chunk_bytes, chunk);
          ASSERT_EQ(s.chunk_bytes & (s.chunk_bytes - 1), 0U);
          ASSERT_GE(s.slot_bytes, std::max<std::size_t>(bytes, 1));
          ASSERT_LT(s.slot_bytes, std::max<std::size_t>(bytes, 1) + alignment);
          ASSERT_EQ(s.slot_bytes % s.alignment(), 0U);
          ASSERT_GE(s.alignment(), alignment);
          ASSERT_LE(s.slots * s.slot_bytes, s.chunk_bytes);
          ASSERT_LT(s.chunk_bytes - s.slots * s.slot_bytes, s.slot_bytes);
          ASSERT_LE(s.slots, std::uint64_t{1} << s.number_bits);
        }
      }
    }
  }
}

TEST(SlotShape, KnowsTheSlotOfAnOffset) {
  for (const std::size_t bytes : {1U, 3U, 8U, 24U, 100U, 4097U, 70'001U, 1U << 20U}) {
    const slot_shape s = slot_shape::of(bytes, 1, std::size_t{1} << 22, 1);
    for (std::uint32_t i = 0; i < s.slots; i += 1 + s.slots / 1000) {
      ASSERT_EQ(s.slot_at(i * bytes), i) << bytes;
      if (bytes > 1) {
        ASSERT_GE(s.slot_at(i * bytes + 1), s.slots) << bytes;
        ASSERT_GE(s.slot_at(i * bytes + bytes - 1), s.slots) << bytes;
      }
    }
    ASSERT_EQ(s.slot_at((s.slots - 1) * bytes), s.slots - 1);
  }
  const slot_shape largest = slot_shape::of(3, 1, std::size_t{1} << 31, 1);
  EXPECT_EQ(largest.slot_at(std::size_t{3} * (largest.slots - 1)), largest.slots - 1);
}

TEST(SlotShape, HasNoSlotsWhereNoneCanBe) {
  constexpr std::size_t huge = std::numeric_limits<std::size_t>::max();
  EXPECT_EQ(slot_shape::of(huge, 1, 0, 1).slots, 0U);
  EXPECT_EQ(slot_shape::of(1, std::size_t{1} << 63, 0, 1).slots, 0U);
  EXPECT_EQ(slot_shape::of(1, 1, huge, 1).slots, 0U);
  EXPECT_EQ(slot_shape::of(std::size_t{1} << 30, 1, 0, 8).slots, 0U);
  EXPECT_EQ(slot_shape::of(1, 1, 0, std::numeric_limits<std::uint32_t>::max()).slots, 0U);
  EXPECT_EQ(slot_shape::of(1, 0, 0, 1).slots, 0U);
  EXPECT_EQ(slot_shape::of(1, 24, 0, 1).slots, 0U);
}

}  // namespace
}  // namespace strata::mem
