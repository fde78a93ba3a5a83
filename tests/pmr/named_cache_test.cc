// SPDX-License-Identifier: Apache-2.0
// Claims beyond conformance: every size and alignment to 4096 is served; items no chunk can hold are refused; arrays
// are adjacent items, and another count is misuse; blocks that fit are items, others are not; trim gives back what is
// free, release everything, arrays included; a cache of either form stands in a stack.
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory_resource>
#include <new>
#include <stdexcept>
#include <vector>

#include "tests/support/failing_resource.h"
#include "tests/support/recording_resource.h"

import strata.pmr;

namespace strata::pmr {
namespace {

std::vector<misuse> reports;
void remember(const misuse& what) { reports.push_back(what); }

struct NamedCache : testing::Test {
  test::recording_resource recorder;
  test::failing_resource upstream{&recorder};

  void SetUp() override { reports.clear(); }
  void TearDown() override { set_misuse_handler(nullptr); }
};

void expect_sums(const layer& l) {
  const statistics s = l.stats();
  EXPECT_EQ(s.upstream, s.live + s.kept + s.overhead);
  EXPECT_FALSE(l.check().found()) << l.check().sentence;
}

TEST_F(NamedCache, ServesEverySizeAndAlignmentTo4096) {
  for (std::size_t alignment = 1; alignment <= 4096; alignment *= 2) {
    for (std::size_t bytes = 1; bytes <= 4096; bytes += bytes < 20 ? 1 : 1 + bytes / 3) {
      named_cache pool(&recorder, {.item_bytes = bytes, .alignment = alignment, .chunk_bytes = 4096});
      std::vector<unsigned char*> items;
      for (std::size_t i = 0; i < pool.items_per_chunk() + 2 && i < 40; ++i) {
        items.push_back(static_cast<unsigned char*>(pool.request()));
        ASSERT_EQ(reinterpret_cast<std::uintptr_t>(items.back()) % alignment, 0U) << bytes;
        std::memset(items.back(), static_cast<int>(i), bytes);
      }
      ASSERT_FALSE(pool.check().found());
      for (std::size_t i = 0; i < items.size(); ++i) {
        ASSERT_EQ(items[i][0], i) << bytes << " aligned to " << alignment;
        ASSERT_EQ(items[i][bytes - 1], i) << bytes << " aligned to " << alignment;
        pool.recycle(items[i]);
      }
    }
  }
}

TEST_F(NamedCache, RefusesItemsNoChunkCanHold) {
  EXPECT_THROW(named_cache(&upstream, cache{.item_bytes = std::size_t{1} << 40}), std::invalid_argument);
  EXPECT_THROW(named_cache(&upstream, cache{.alignment = 24}), std::invalid_argument);
}

TEST_F(NamedCache, GivesArraysOfAdjacentItems) {
  set_misuse_handler(remember);
  named_cache cache(&upstream, {.name = "items", .item_bytes = 20, .alignment = 8});
  EXPECT_EQ(cache.item_stride(), 24U);
  for (const std::size_t n : {0U, 1U, 2U, 31U, 33U, 5000U}) {
    void* const p = cache.alloc_array(n);
    ASSERT_NE(p, nullptr);
    std::memset(p, 0x5A, n * cache.item_stride() - (n == 1 ? 4 : 0));
    expect_sums(cache);
    if (n > 1) {
      cache.free_array(p, n - 1);
      cache.free_array(p, n + 1);
      EXPECT_EQ(reports.size(), 2U);
      reports.clear();
    }
    cache.free_array(p, n);
  }
  EXPECT_TRUE(reports.empty());
  (void)cache.alloc_array(3);  // goes back when the cache ends
  cache.free_array(nullptr, 3);
  EXPECT_THROW((void)cache.alloc_array(static_cast<std::size_t>(-1) / 16), std::bad_alloc);
  EXPECT_EQ(cache.stats().live, 72U);
  expect_sums(cache);
}

TEST_F(NamedCache, ServesAsAResourceWhatFitsAnItem) {
  named_cache cache(&upstream, {.item_bytes = 64});
  void* const small = cache.allocate(40, 8);
  void* const large = cache.allocate(65, 8);
  void* const aligned = cache.allocate(64, 64);  // as all items of 64 bytes are
  void* const wide = cache.allocate(64, 128);
  EXPECT_TRUE(cache.is_live(small));
  EXPECT_FALSE(cache.is_live(large));
  EXPECT_TRUE(cache.is_live(aligned));
  EXPECT_FALSE(cache.is_live(wide));
  EXPECT_EQ(cache.stats().live, 40U + 65 + 64 + 64);
  expect_sums(cache);
  cache.deallocate(small, 40, 8);
  cache.deallocate(large, 65, 8);
  cache.deallocate(aligned, 64, 64);
  cache.deallocate(wide, 64, 128);
  EXPECT_EQ(cache.stats().live, 0U);
  expect_sums(cache);
}

TEST_F(NamedCache, TrimsAndReleases) {
  named_cache cache(&upstream, {.item_bytes = 64, .chunk_bytes = 4096});
  std::vector<void*> items;
  for (int i = 0; i < 1000; ++i) items.push_back(cache.request());
  void* const array = cache.alloc_array(10);
  for (void* const p : items) cache.recycle(p);
  const std::size_t before = recorder.live().bytes;
  const std::size_t freed = cache.trim();
  EXPECT_EQ(freed, cache.chunk_bytes() * ((1000 + cache.items_per_chunk() - 1) / cache.items_per_chunk()));
  EXPECT_EQ(recorder.live().bytes, before - freed);
  EXPECT_EQ(cache.stats().live, 640U);
  expect_sums(cache);
  (void)array;
  (void)cache.request();
  cache.release();
  EXPECT_EQ(recorder.live().blocks, 0U);
  EXPECT_EQ(cache.stats().live_blocks, 0U);
  EXPECT_EQ(cache.stats().upstream, 0U);
  expect_sums(cache);
  EXPECT_NE(cache.request(), nullptr);
  expect_sums(cache);
}

template <class Stack>
void serve(Stack& memory) {
  void* const p = memory.allocate(48, 16);
  std::memset(p, 0x5A, 48);
  memory.deallocate(p, 48, 16);
  EXPECT_FALSE(memory.check().found());
}

TEST(NamedCacheInAStack, ServesItsItems) {
  stack memory{pages{}, cache{.name = "orders", .item_bytes = 48}};
  static_assert(decltype(memory)::thread_safe);
  serve(memory);
}

TEST(NamedCacheInAStack, ServesOneThreadAboveWhatIsForOneThread) {
  stack memory{pages{}, heap{}, unsynchronized_cache{.name = "orders", .item_bytes = 48}};
  static_assert(!decltype(memory)::thread_safe);
  serve(memory);
}

}  // namespace
}  // namespace strata::pmr
