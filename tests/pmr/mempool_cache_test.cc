// SPDX-License-Identifier: Apache-2.0
// Claims: items are aligned and adjacent in arrays of every length (W1-11); everything a cache has lies in its pool, with
// its name; the pool takes items back without being told whose they are; wrong cache, wrong count, twice, interior: each a
// sentence, and the pool stays whole (W1-13); live items at the end are detected (W1-11); what a cache had goes back to the
// pool, by trim and at its end (D1-11); a pool has so many caches and no more; caches come and go while threads work.
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <memory_resource>
#include <new>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/support/recording_resource.h"

import strata.mem;
import strata.pmr;

namespace strata::pmr {
namespace {

std::vector<misuse> reports;

// While an inspector runs the process, more is known of each block, and said in other sentences.
const char* said(const char* otherwise, const char* inspected) { return mem::inspected() ? inspected : otherwise; }

struct MempoolCache : testing::Test {
  void SetUp() override {
    reports.clear();
    set_misuse_handler([](const misuse& what) { reports.push_back(what); });
  }
  void TearDown() override {
    set_misuse_handler(nullptr);
    EXPECT_FALSE(pool.check().found()) << pool.check().sentence;
  }
  void expect_report(const std::string& sentence) {
    ASSERT_EQ(reports.size(), 1U) << "expected: " << sentence;
    EXPECT_EQ(reports[0].sentence, sentence);
    reports.clear();
    EXPECT_FALSE(pool.check().found());
  }

  test::recording_resource upstream;
  mempool_resource<> pool{&upstream};
};

// D1-08, D1-09: items had no alignment, and the bitmap lay over the first.
TEST_F(MempoolCache, AlignsItemsAndKeepsArraysTogether) {
  for (const std::size_t bytes : {1U, 8U, 24U, 40U, 100U, 1000U, 3000U}) {
    for (const std::size_t alignment : {std::size_t{8}, std::size_t{16}, std::size_t{64}, std::size_t{512}}) {
      mempool_cache cache(&pool, {.name = "items", .item_bytes = bytes, .alignment = alignment});
      for (std::size_t n = 1; n <= cache.items_per_chunk(); ++n) {
        auto* const array = static_cast<unsigned char*>(cache.alloc_array(n));
        for (std::size_t i = 0; i < n; ++i) {
          ASSERT_EQ(reinterpret_cast<std::uintptr_t>(array + i * cache.item_stride()) % alignment, 0U);
        }
        std::uninitialized_fill_n(array, (n - 1) * cache.item_stride() + bytes, static_cast<unsigned char>(n));
        cache.free_array(array, n);
      }
      EXPECT_FALSE(cache.check().found());
    }
  }
  EXPECT_TRUE(reports.empty());
  EXPECT_EQ(pool.stats().live, 0U);
}

TEST_F(MempoolCache, LivesInItsPoolUnderItsName) {
  mempool_cache orders(&pool, {.name = "orders", .item_bytes = 48});
  void* const p = orders.request();
  const mempool_owner owner = pool.owner(static_cast<std::byte*>(p) + 47);
  EXPECT_EQ(owner.what, mempool_owner::kind::cache);
  EXPECT_STREQ(owner.name, "orders");
  EXPECT_EQ(owner.bytes, pool.segment().page_bytes());
  EXPECT_EQ(pool.usable_size(p), 48U);
  EXPECT_EQ(orders.stats().upstream, pool.stats().live);
  std::size_t seen = 0;
  pool.visit_caches([&](const layer& l) { seen += std::string(l.name()) == "orders"; });
  EXPECT_EQ(seen, 1U);
  EXPECT_EQ(upstream.request_count(), 1U);
  pool.deallocate(p);  // without being told whose it is
  EXPECT_TRUE(reports.empty());
  EXPECT_EQ(orders.stats().live, 0U);
}

TEST_F(MempoolCache, MovesAnItemThatGrowsIntoABlock) {
  mempool_cache cache(&pool, {.item_bytes = 16});
  auto* p = static_cast<unsigned char*>(cache.request());
  std::uninitialized_fill_n(p, 16, static_cast<unsigned char>(7));
  EXPECT_EQ(pool.reallocate(p, 16), p);
  auto* const moved = static_cast<unsigned char*>(pool.reallocate(p, 1000));
  EXPECT_EQ(moved[15], 7);
  EXPECT_EQ(cache.stats().live, 0U);
  pool.deallocate(moved);
}

TEST_F(MempoolCache, SaysWhatIsWrongAndStaysWhole) {
  mempool_cache a(&pool, {.name = "a", .item_bytes = 64});
  mempool_cache b(&pool, {.name = "b", .item_bytes = 64});
  void* const item = a.request();
  void* const array = a.alloc_array(5);
  b.recycle(item);
  expect_report(mem::checked ? "a block comes back that is of another memory" : "the pointer is no slot of this pool");
  a.recycle(static_cast<std::byte*>(item) + 8);
  expect_report(said("the pointer is in a chunk of this pool, but not the start of a slot",
                     "a pointer comes back that lies inside a block and is not its start"));
  pool.deallocate(item, 64);
  expect_report("deallocated an item of a cache as a block of the pool");
  a.free_array(array, 4);
  ASSERT_EQ(reports.size(), 1U);
  reports.clear();
  a.free_array(array, 5);
  EXPECT_TRUE(reports.empty());
  a.recycle(item);
  a.recycle(item);
  expect_report(said("the slot is free already", "a block comes back that was deallocated before"));
  pool.deallocate(item);
  expect_report(said("the slot is free already", "a block comes back that was deallocated before"));
}

TEST_F(MempoolCache, DetectsLiveItemsAtItsEnd) {
  {
    mempool_cache cache(&pool, {.name = "left", .item_bytes = 64});
    (void)cache.request();
  }
  expect_report("destroyed with live items: their chunks are gone");
  EXPECT_EQ(pool.stats().live, 0U) << "and it gave them back";
}

// D1-11.
TEST_F(MempoolCache, GivesPagesBackByTrimAndAtItsEnd) {
  const std::size_t free = pool.segment().stats().kept;
  {
    mempool_cache cache(&pool, {.item_bytes = 512});
    std::vector<void*> items;
    for (int i = 0; i < 500; ++i) items.push_back(cache.request());
    const std::size_t held = cache.stats().upstream;
    for (void* const p : items) cache.recycle(p);
    EXPECT_GT(cache.trim(), std::size_t{200} << 10);
    EXPECT_LT(cache.stats().upstream, held / 2);
  }
  EXPECT_EQ(pool.segment().stats().kept, free);
  EXPECT_TRUE(reports.empty());
}

TEST_F(MempoolCache, ThrowsWhatThePoolThrowsWhenThatIsFull) {
  mempool_cache cache(&pool, {.item_bytes = 64});
  std::vector<void*> items;
  try {
    for (;;) items.push_back(cache.request());
  } catch (const allocation_error& e) {
    EXPECT_EQ(std::string(e.what()).find("strata: fragments cannot allocate 8192 bytes"), 0U) << e.what();
  }
  EXPECT_GT(items.size(), mem::inspected() ? 5'000U : 20'000U);
  for (void* const p : items) cache.recycle(p);
}

// D1-10: a page with no free item let each caller through once.
TEST_F(MempoolCache, NeverHandsOutMoreThanThereIs) {
  mempool_cache cache(&pool, {.item_bytes = 1024});
  std::vector<std::pair<void*, std::size_t>> rest;
  void* const first = cache.request();
  for (std::size_t free = pool.segment().largest_free(); free != 0; free = pool.segment().largest_free()) {
    const std::size_t bytes = mem::inspected() ? free - 24 : free;  // with what is hidden round it
    rest.emplace_back(pool.allocate(bytes), bytes);
  }
  const std::size_t left = cache.items_per_chunk() * cache.chunks() - 1;
  std::vector<std::vector<void*>> taken(4);
  std::vector<std::thread> threads;
  for (auto& mine : taken) {
    threads.emplace_back([&] {
      try {
        for (;;) mine.push_back(cache.request());
      } catch (const std::bad_alloc&) {
      }
    });
  }
  for (std::thread& t : threads) t.join();
  std::set<void*> all{first};
  for (const auto& mine : taken) all.insert(mine.begin(), mine.end());
  EXPECT_LE(all.size(), left + 1);
  EXPECT_EQ(all.size() - 1, taken[0].size() + taken[1].size() + taken[2].size() + taken[3].size()) << "one owner each";
  for (void* const p : all) cache.recycle(p);
  for (const auto& [p, bytes] : rest) pool.deallocate(p, bytes);
  EXPECT_TRUE(reports.empty());
}

TEST_F(MempoolCache, CountsCaches) {
  std::vector<std::unique_ptr<mempool_cache<>>> all;
  for (std::size_t i = 0; i < mempool_resource<>::max_caches; ++i) {
    all.push_back(std::make_unique<mempool_cache<>>(&pool, mempool_items{}));
  }
  EXPECT_THROW(mempool_cache<>(&pool, {}), allocation_error);
  all.pop_back();
  const mempool_cache<> one_more(&pool, {});
}

TEST_F(MempoolCache, ComesAndGoesWhileThreadsWork) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int round = 0; round < 50; ++round) {
        mempool_cache cache(&pool, {.item_bytes = 32});
        std::vector<void*> items;
        for (int i = 0; i < 100; ++i) items.push_back(cache.request());
        for (void* const p : items) pool.deallocate(p);
      }
    });
  }
  for (std::thread& t : threads) t.join();
  EXPECT_TRUE(reports.empty());
  EXPECT_EQ(pool.stats().live, 0U);
}

}  // namespace
}  // namespace strata::pmr
