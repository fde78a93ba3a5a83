// SPDX-License-Identifier: Apache-2.0
// Claims: a magazine is last in, first out; it takes exactly its capacity; the oldest leave from the bottom; classes do
// not touch one another; capacities are between 4 and 128 and hold at most 32 KiB or 4 slots.
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

import strata.mem;

namespace strata::mem {
namespace {

struct ThreadCache : testing::Test {
  std::vector<std::max_align_t> memory =
      std::vector<std::max_align_t>(thread_cache::bytes() / sizeof(std::max_align_t) + 1);
  thread_cache* const cache = thread_cache::format(memory.data());
  std::vector<char> slots = std::vector<char>(1 << 16);

  void* slot(std::size_t i) { return &slots[i]; }
};

TEST_F(ThreadCache, StartsEmpty) {
  for (std::size_t c = 0; c < size_class::count; ++c) {
    EXPECT_EQ(cache->size(c), 0U);
    EXPECT_EQ(cache->pop(c), nullptr);
  }
}

TEST_F(ThreadCache, TakesItsCapacityInEveryClassAndReturnsItLastFirst) {
  for (std::size_t c = 0; c < size_class::count; ++c) {
    for (std::size_t i = 0; i < thread_cache::capacity(c); ++i) ASSERT_TRUE(cache->push(c, slot(c * 128 + i)));
    ASSERT_FALSE(cache->push(c, slot(0)));
    ASSERT_EQ(cache->size(c), thread_cache::capacity(c));
  }
  for (std::size_t c = 0; c < size_class::count; ++c) {
    for (std::size_t i = thread_cache::capacity(c); i-- > 0;) ASSERT_EQ(cache->pop(c), slot(c * 128 + i));
    ASSERT_EQ(cache->pop(c), nullptr);
  }
}

TEST_F(ThreadCache, DropsTheOldest) {
  for (std::size_t i = 0; i < 10; ++i) ASSERT_TRUE(cache->push(2, slot(i)));
  EXPECT_EQ(cache->bottom(2)[0], slot(0));
  cache->drop_oldest(2, 4);
  EXPECT_EQ(cache->size(2), 6U);
  EXPECT_EQ(cache->bottom(2)[0], slot(4));
  for (std::size_t i = 10; i-- > 4;) EXPECT_EQ(cache->pop(2), slot(i));
  EXPECT_EQ(cache->pop(2), nullptr);
}

TEST_F(ThreadCache, IsFilledFromTheBottom) {
  for (std::size_t i = 0; i < 3; ++i) cache->bottom(7)[i] = slot(i);
  cache->filled(7, 3);
  EXPECT_EQ(cache->pop(7), slot(2));
  EXPECT_EQ(cache->size(7), 2U);
}

TEST_F(ThreadCache, KeepsAtMost32KiBOrFourSlots) {
  for (std::size_t c = 0; c < size_class::count; ++c) {
    const std::size_t capacity = thread_cache::capacity(c);
    EXPECT_GE(capacity, 4U);
    EXPECT_LE(capacity, 128U);
    EXPECT_TRUE(capacity == 4 || capacity * size_class::bytes(c) <= (std::size_t{32} << 10));
  }
}

TEST_F(ThreadCache, CountsBothWays) {
  cache->handed_out(100);
  cache->handed_out(50);
  cache->taken_back(100);
  EXPECT_EQ(cache->live(), 50U);
  cache->taken_back(60);
  EXPECT_EQ(cache->live() + 10, 0U) << "modulo 2^64: another thread handed out the rest";
  EXPECT_EQ(cache->allocations(), 2U);
  EXPECT_EQ(cache->deallocations(), 2U);
}

}  // namespace
}  // namespace strata::mem
