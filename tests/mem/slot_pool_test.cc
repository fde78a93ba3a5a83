// SPDX-License-Identifier: Apache-2.0
// Claims: a shape's slots are aligned, apart and inside the chunk, and what cannot be has none; slots come out in
// rising order and the one that came back last comes first; a slot twice, a pointer between slots and one from
// elsewhere are told apart and change nothing; figures count; check() finds a link that was overwritten.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <new>
#include <vector>

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
          ASSERT_GE(s.slot_bytes, bytes);
          ASSERT_EQ(s.slot_bytes % alignment, 0U);
          ASSERT_EQ(s.first % alignment, 0U);
          ASSERT_GE(s.first, 4 + 4 * std::size_t{s.slots});
          ASSERT_LE(s.first + s.slots * s.slot_bytes, s.chunk_bytes);
          ASSERT_LE(s.slots, std::uint64_t{1} << s.number_bits);
          // A chunk is not half empty, but where alignment alone makes it so.
          if (alignment <= s.chunk_bytes / 16) {
            ASSERT_LT(s.chunk_bytes - s.first - s.slots * s.slot_bytes, s.slot_bytes + 4 + alignment);
          }
        }
      }
    }
  }
}

TEST(SlotShape, HasNoSlotsWhereNoneCanBe) {
  constexpr std::size_t huge = std::numeric_limits<std::size_t>::max();
  EXPECT_EQ(slot_shape::of(huge, 1, 0, 1).slots, 0U);
  EXPECT_EQ(slot_shape::of(1, std::size_t{1} << 63, 0, 1).slots, 0U);
  EXPECT_EQ(slot_shape::of(1, 1, huge, 1).slots, 0U);
  EXPECT_EQ(slot_shape::of(std::size_t{1} << 30, 1, 0, 8).slots, 0U);
  EXPECT_EQ(slot_shape::of(1, 1, 0, std::numeric_limits<std::uint32_t>::max()).slots, 0U);
}

struct SlotPool : testing::Test {
  static constexpr std::size_t bytes = 1024;
  slot_pool pool{slot_shape::of(24, 8, bytes, 1)};
  alignas(bytes) std::byte memory[2 * bytes];
};

TEST_F(SlotPool, GivesSlotsInOrderAndTheLastOneFirst) {
  EXPECT_EQ(pool.take(), nullptr);
  auto* const first = static_cast<std::byte*>(pool.add(memory, true));
  EXPECT_EQ(pool.take(), first + 24);
  EXPECT_EQ(pool.take(), first + 48);
  EXPECT_EQ(pool.put(first), slot_fault::none);
  EXPECT_EQ(pool.take(), first);
  EXPECT_EQ(pool.count().slots, pool.shape().slots);
  EXPECT_EQ(pool.count().out, 3U);
  EXPECT_EQ(pool.count().taken, 4U);
  EXPECT_EQ(pool.count().peak, 3U);
}

TEST_F(SlotPool, GivesEverySlotOfEveryChunkOnce) {
  EXPECT_EQ(pool.add(memory, false), nullptr);
  EXPECT_EQ(pool.add(memory + bytes, false), nullptr);
  std::vector<void*> slots;
  while (void* const p = pool.take()) {
    std::memset(p, 0xFF, 24);
    slots.push_back(p);
  }
  EXPECT_EQ(slots.size(), pool.count().slots);
  EXPECT_EQ(pool.check(), nullptr);
  for (void* const p : slots) EXPECT_EQ(pool.put(p), slot_fault::none);
  EXPECT_EQ(pool.check(), nullptr);
  EXPECT_EQ(pool.count().out, 0U);
  EXPECT_EQ(pool.remove_chunk(), memory);
  EXPECT_EQ(pool.remove_chunk(), memory + bytes);
  EXPECT_EQ(pool.remove_chunk(), nullptr);
}

TEST_F(SlotPool, TellsWrongPointersApart) {
  auto* const first = static_cast<std::byte*>(pool.add(memory, true));
  EXPECT_EQ(pool.put(first + 24), slot_fault::already_free);
  EXPECT_EQ(pool.put(first + 8), slot_fault::not_a_slot);
  EXPECT_EQ(pool.put(memory), slot_fault::not_a_slot);
  EXPECT_EQ(pool.put(memory + bytes - 1), slot_fault::not_a_slot);
  EXPECT_EQ(pool.put(memory + bytes), slot_fault::foreign);
  EXPECT_EQ(pool.put(&pool), slot_fault::foreign);
  EXPECT_EQ(pool.put(nullptr), slot_fault::foreign);
  EXPECT_EQ(pool.inspect(first), slot_fault::none);
  EXPECT_EQ(pool.put(first), slot_fault::none);
  EXPECT_EQ(pool.inspect(first), slot_fault::already_free);
  EXPECT_EQ(pool.put(first), slot_fault::already_free);
  EXPECT_EQ(pool.count().out, 0U);
  EXPECT_EQ(pool.check(), nullptr);
}

TEST_F(SlotPool, FindsAnOverwrittenLink) {
  pool.add(memory, false);
  const std::uint32_t wild = 0x00ABCDEF;
  std::memcpy(memory + 8, &wild, sizeof wild);
  EXPECT_STREQ(pool.check(), "a free slot's link leads nowhere");
}

}  // namespace
}  // namespace strata::mem
