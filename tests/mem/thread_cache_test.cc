// SPDX-License-Identifier: Apache-2.0
// Claims: a magazine is last in, first out; it takes exactly its limit; the oldest leave from the bottom; classes do not
// touch one another; capacities are between 8 and 128 and hold at most 16 KiB or 8 slots; four misses of one kind double
// the limit up to the capacity, one of the other kind halves it down to the first; what limits grant adds up. A closed
// cache misses in every class; taken, it stays closed until it is opened, empty; refused, it is as it was.
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

  void grant_all() {
    for (std::size_t c = 0; c < size_class::count; ++c) cache->set_limit(c, thread_cache::capacity(c));
  }
  std::vector<char> slots = std::vector<char>(1 << 16);

  void* slot(std::size_t i) { return &slots[i]; }
};

TEST_F(ThreadCache, StartsEmpty) {
  for (std::size_t c = 0; c < size_class::count; ++c) {
    EXPECT_EQ(cache->size(c), 0U);
    EXPECT_EQ(cache->pop(c, 0), nullptr);
  }
}

TEST_F(ThreadCache, TakesItsCapacityInEveryClassAndReturnsItLastFirst) {
  grant_all();
  for (std::size_t c = 0; c < size_class::count; ++c) {
    for (std::size_t i = 0; i < thread_cache::capacity(c); ++i) ASSERT_TRUE(cache->push(c, slot(c * 128 + i), 0));
    ASSERT_FALSE(cache->push(c, slot(0), 0));
    ASSERT_EQ(cache->size(c), thread_cache::capacity(c));
  }
  for (std::size_t c = 0; c < size_class::count; ++c) {
    for (std::size_t i = thread_cache::capacity(c); i-- > 0;) ASSERT_EQ(cache->pop(c, 0), slot(c * 128 + i));
    ASSERT_EQ(cache->pop(c, 0), nullptr);
  }
}

TEST_F(ThreadCache, DropsTheOldest) {
  grant_all();
  for (std::size_t i = 0; i < 10; ++i) ASSERT_TRUE(cache->push(2, slot(i), 0));
  EXPECT_EQ(cache->bottom(2)[0], slot(0));
  cache->drop_oldest(2, 4);
  EXPECT_EQ(cache->size(2), 6U);
  EXPECT_EQ(cache->bottom(2)[0], slot(4));
  for (std::size_t i = 10; i-- > 4;) EXPECT_EQ(cache->pop(2, 0), slot(i));
  EXPECT_EQ(cache->pop(2, 0), nullptr);
}

TEST_F(ThreadCache, IsFilledFromTheBottom) {
  grant_all();
  for (std::size_t i = 0; i < 3; ++i) cache->bottom(7)[i] = slot(i);
  cache->filled(7, 3);
  EXPECT_EQ(cache->pop(7, 0), slot(2));
  EXPECT_EQ(cache->size(7), 2U);
}

TEST_F(ThreadCache, KeepsAtMost16KiBOrEightSlots) {
  for (std::size_t c = 0; c < size_class::count; ++c) {
    const std::size_t capacity = thread_cache::capacity(c);
    EXPECT_GE(capacity, 8U);
    EXPECT_LE(thread_cache::first(c), capacity);
    EXPECT_LE(capacity, 128U);
    EXPECT_TRUE(capacity == 8 || capacity * size_class::bytes(c) <= (std::size_t{16} << 10));
  }
}

TEST_F(ThreadCache, StartsWithoutALimitAndThenWithTheFirst) {
  EXPECT_FALSE(cache->push(0, slot(0), 0));
  EXPECT_EQ(cache->missed(0, cache_miss::full), thread_cache::first(0));
}

TEST_F(ThreadCache, GrowsInAPhaseAndShrinksAtItsEnd) {
  const std::size_t c = size_class::of(64);
  cache->set_limit(c, cache->missed(c, cache_miss::empty));
  const auto miss = [&](cache_miss how) {
    cache->set_limit(c, cache->missed(c, how));
    return cache->limit(c);
  };
  for (int i = 0; i < 3; ++i) EXPECT_EQ(miss(cache_miss::empty), thread_cache::first(c));
  EXPECT_EQ(miss(cache_miss::empty), 2 * thread_cache::first(c));
  for (int i = 0; i < 10; ++i) (void)miss(cache_miss::empty);
  EXPECT_EQ(cache->limit(c), thread_cache::capacity(c));
  EXPECT_EQ(miss(cache_miss::full), thread_cache::capacity(c) / 2);
  for (int i = 0; i < 10; ++i) (void)miss(i % 2 == 0 ? cache_miss::empty : cache_miss::full);
  EXPECT_EQ(cache->limit(c), thread_cache::first(c));
}

TEST_F(ThreadCache, AddsUpWhatLimitsGrant) {
  grant_all();
  std::size_t sum = 0;
  for (std::size_t c = 0; c < size_class::count; ++c) sum += thread_cache::capacity(c) * size_class::bytes(c);
  EXPECT_EQ(cache->granted(), sum);
  for (std::size_t c = 0; c < size_class::count; ++c) cache->set_limit(c, 0);
  EXPECT_EQ(cache->granted(), 0U);
  EXPECT_FALSE(cache->push(7, slot(0), 0));
}

// What the taker of another thread does, here between two calls of the owner.
struct AClosedCache : ThreadCache {
  AClosedCache() {
    grant_all();
    for (std::size_t i = 0; i < 5; ++i) EXPECT_TRUE(cache->push(0, slot(i), 16));
    for (std::size_t i = 5; i < 8; ++i) EXPECT_TRUE(cache->push(last, slot(i), 16));
    EXPECT_TRUE(cache->close());
  }
  static constexpr std::size_t last = size_class::count - 1;

  void expect_all_misses() {
    for (std::size_t c = 0; c < size_class::count; ++c) {
      ASSERT_EQ(cache->pop(c, 16), nullptr);
      ASSERT_FALSE(cache->push(c, slot(9), 16));
    }
  }
};

TEST_F(AClosedCache, MissesInEveryClass) { expect_all_misses(); }

TEST_F(AClosedCache, StaysClosedWhenItIsTakenAndIsEmptyWhenItOpens) {
  ASSERT_TRUE(cache->judge(true));
  EXPECT_EQ(cache->was_inside(0), 5U);
  EXPECT_EQ(cache->was_inside(1), 0U);
  EXPECT_EQ(cache->was_inside(last), 3U);
  EXPECT_EQ(cache->bottom(0)[4], slot(4));
  EXPECT_EQ(cache->bottom(last)[0], slot(5));
  expect_all_misses();
  EXPECT_FALSE(cache->close()) << "there is nothing more";
  cache->open();
  for (std::size_t c = 0; c < size_class::count; ++c) EXPECT_EQ(cache->size(c), 0U);
  EXPECT_TRUE(cache->push(0, slot(1), 16));
  EXPECT_EQ(cache->pop(0, 16), slot(1));
  EXPECT_FALSE(cache->close()) << "nothing is inside";
  EXPECT_TRUE(cache->push(last, slot(2), 16));
  ASSERT_TRUE(cache->close());
  EXPECT_TRUE(cache->judge(true)) << "the books go on from where they were";
}

TEST_F(AClosedCache, IsAsBeforeWithoutABarrier) {
  EXPECT_FALSE(cache->judge(false));
  EXPECT_EQ(cache->size(0), 5U);
  EXPECT_EQ(cache->size(last), 3U);
  EXPECT_EQ(cache->pop(0, 16), slot(4));
  EXPECT_TRUE(cache->push(last, slot(4), 16));
}

TEST_F(AClosedCache, IsAsBeforeWhenACallIsUnderWay) {
  cache->books.going_out(16);
  EXPECT_FALSE(cache->judge(true));
  EXPECT_EQ(cache->size(0), 5U);
  EXPECT_EQ(cache->size(1), 0U);
  EXPECT_EQ(cache->size(last), 3U);
  cache->books.not_out(16);
  ASSERT_TRUE(cache->close());
  EXPECT_TRUE(cache->judge(true));
}

TEST_F(ThreadCache, IsIdleAfterAPeriodWithoutACall) {
  const decay_period period(1);
  grant_all();
  EXPECT_FALSE(cache->is_idle(period, 0));
  EXPECT_TRUE(cache->push(0, slot(0), 16));
  EXPECT_FALSE(cache->is_idle(period, period.ns())) << "used";
  EXPECT_FALSE(cache->is_idle(period, 2 * period.ns() - 1));
  EXPECT_TRUE(cache->is_idle(period, 2 * period.ns()));
}

}  // namespace
}  // namespace strata::mem
