// SPDX-License-Identifier: Apache-2.0
// Claims: capacity follows the size of slots; slots come out last in, first out, marked as out, and go in marked as not;
// an empty one says so, and so does a full one; half of an odd number is the larger half; figures count by bytes asked
// for. Closed it misses; taken it stays closed until it is opened, empty; refused it is as it was.
#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <cstdint>

import strata.mem;

namespace strata::mem {
namespace {

constexpr std::size_t bytes = 4096;

struct SlotCache : testing::Test {
  using cache_type = slot_cache<threads::any>;

  slot_pool<threads::any> pool{slot_shape::of(64, 8, bytes, 1)};
  cache_type cache{16};
  alignas(bytes) std::array<std::byte, bytes> chunk;
  std::array<std::uint32_t, bytes / 64> words;

  SlotCache() { pool.add(chunk.data(), words.data()); }
  cache_type::place place_of(const void* p) const {
    cache_type::place at{};
    EXPECT_EQ(pool.find(p, at), slot_fault::none);
    return at;
  }
};

TEST_F(SlotCache, KeepsAsManyAsTheirSizeAllows) {
  EXPECT_EQ(cache_type::capacity(1), cache_type::max_places);
  EXPECT_EQ(cache_type::capacity(512), 64U);
  EXPECT_EQ(cache_type::capacity(4096), 8U);
  EXPECT_EQ(cache_type::capacity(1 << 20), 4U);
}

TEST_F(SlotCache, GivesLastInFirstOutAndMarksWhatIsOut) {
  EXPECT_EQ(cache.pop(64), nullptr);
  std::array<void*, 3> slots;
  for (void*& p : slots) {
    cache.fill(pool);
    p = cache.pop(64);
    ASSERT_NE(p, nullptr);
    EXPECT_TRUE(pool.is_out(place_of(p)));
    cache.drain(pool);
  }
  for (void* const p : slots) EXPECT_TRUE(cache.push(place_of(p), 64));
  for (std::size_t i = slots.size(); i-- > 0;) {
    EXPECT_FALSE(pool.is_out(place_of(slots[i])));
    EXPECT_EQ(cache.pop(64), slots[i]);
  }
  EXPECT_EQ(cache.pop(64), nullptr);
}

TEST_F(SlotCache, GivesItsOlderHalfBack) {
  std::array<void*, 16> slots;
  for (void*& p : slots) p = pool.take();
  for (void* const p : slots) EXPECT_TRUE(cache.push(place_of(p), 64));
  void* const one_more = pool.take();
  EXPECT_FALSE(cache.push(place_of(one_more), 64));
  EXPECT_TRUE(pool.is_out(place_of(one_more)));
  EXPECT_EQ(pool.put(one_more), slot_fault::none);
  EXPECT_EQ(cache.pop(64), slots[15]);
  cache.halve(pool);
  EXPECT_EQ(cache.size(), 7U);
  EXPECT_EQ(pool.take(), slots[7]);
  for (std::size_t i = 15; i-- > 8;) EXPECT_EQ(cache.pop(64), slots[i]);
  cache.halve(pool);
  cache.drain(pool);
  EXPECT_EQ(cache.size(), 0U);
}

TEST_F(SlotCache, CountsWhatIsAskedFor) {
  cache.fill(pool);
  void* const p = cache.pop(10);
  EXPECT_EQ(cache.books.live(), 10U);
  EXPECT_TRUE(cache.push(place_of(p), 30));
  EXPECT_EQ(cache.books.live(), std::size_t{0} - 20) << "what others handed out";
  EXPECT_EQ(cache.books.out(), 1U);
  EXPECT_EQ(cache.books.in(), 1U);
}

// What the taker of another thread does, here between two calls of the owner.
TEST_F(SlotCache, ClosedMissesAndTakenItStaysSoUntilItOpensEmpty) {
  EXPECT_FALSE(cache.close()) << "nothing is inside";
  std::array<void*, 5> slots;
  for (void*& p : slots) p = pool.take();
  for (void* const p : slots) EXPECT_TRUE(cache.push(place_of(p), 64));
  void* const out = pool.take();
  const auto expect_misses = [&] {
    EXPECT_EQ(cache.pop(64), nullptr);
    EXPECT_FALSE(cache.push(place_of(out), 64));
  };
  ASSERT_TRUE(cache.close());
  expect_misses();
  EXPECT_FALSE(cache.judge(false)) << "no barrier";
  EXPECT_EQ(cache.size(), 5U);
  ASSERT_TRUE(cache.close());
  cache.books.going_out(64);
  EXPECT_FALSE(cache.judge(true)) << "a call is under way";
  cache.books.not_out(64);
  EXPECT_EQ(cache.size(), 5U);
  ASSERT_TRUE(cache.close());
  ASSERT_TRUE(cache.judge(true));
  cache.drain_closed(pool);
  EXPECT_EQ(pool.take(), slots[4]);
  expect_misses();
  EXPECT_FALSE(cache.close());
  cache.open();
  EXPECT_EQ(cache.size(), 0U);
  EXPECT_TRUE(cache.push(place_of(out), 64));
  ASSERT_TRUE(cache.close());
  EXPECT_TRUE(cache.judge(true)) << "the books go on from where they were";
}

}  // namespace
}  // namespace strata::mem
