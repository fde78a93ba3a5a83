// SPDX-License-Identifier: Apache-2.0
// Claims: what is freed in any order leaves one free block a page, and empty pages go back but one a heap (W1-10); the
// block taken is the best fit, against a model of all free blocks (W1-10); sorted sizes cost no more than others (D1-18); a
// request takes what other heaps have when there is no page; a page's start is no block.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory_resource>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "tests/support/recording_resource.h"

import strata.mem;
import strata.pmr;

namespace strata::pmr {
namespace {

constexpr std::size_t page = 8192;
constexpr fragment_tag first_tag = 1;
constexpr fragment_tag books = 99;

struct SmallHeap : testing::Test {
  void* take(std::size_t bytes) { return heap.allocate(bytes, false).block; }
  const char* give_back(void* p) { return heap.deallocate(p, 0, memory.owner(p)); }
  std::size_t pages() const { return heap.pages().now; }

  test::recording_resource upstream;
  fragment_resource<> memory{&upstream, {.region_bytes = 128 * page}};
  small_heap<std::pmr::memory_resource> heap{&memory, 1, first_tag, books};
};

// D1-17, D1-19.
TEST_F(SmallHeap, JoinsWhatIsFreedInAnyOrderAndGivesEmptyPagesBack) {
  const std::uint64_t seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937_64 random(seed);
  for (int round = 0; round < 20; ++round) {
    std::vector<void*> blocks;
    for (int i = 0; i < 1000; ++i) blocks.push_back(take(4 + random() % 253));
    ASSERT_GT(pages(), 10U);
    if (round == 0) std::reverse(blocks.begin(), blocks.end());
    if (round > 1) std::shuffle(blocks.begin(), blocks.end(), random);
    for (void* const p : blocks) ASSERT_EQ(give_back(p), nullptr);
    EXPECT_EQ(pages(), 1U);
    const statistics s = heap.stats();
    EXPECT_EQ(s.live, 0U);
    EXPECT_EQ(s.kept, page - mem::boundary_heap::region_overhead) << "one free block";
  }
  EXPECT_EQ(heap.trim(), page);
  EXPECT_EQ(heap.pages().now, 0U);
}

TEST_F(SmallHeap, AsksOtherHeapsWhenThereIsNoPage) {
  small_heap<std::pmr::memory_resource> two(&memory, 2, first_tag + 1, books);
  void* const mine = two.allocate(200, false).block;
  std::vector<void*> others;
  // Threads that live at once fall to both heaps. One of each has a page then.
  std::atomic<bool> done{false};
  std::vector<std::thread> threads;
  for (int t = 0; t < 64 && others.empty(); ++t) {
    std::atomic<bool> asked{false};
    threads.emplace_back([&] {
      void* const p = two.allocate(200, false).block;
      if (memory.owner(p).tag != memory.owner(mine).tag) others.push_back(p);
      asked = true;
      done.wait(false);
    });
    while (!asked) std::this_thread::yield();
  }
  done = true;
  done.notify_all();
  for (std::thread& t : threads) t.join();
  ASSERT_FALSE(others.empty()) << "all threads fell to one heap";
  std::vector<std::pair<void*, std::size_t>> rest;
  for (std::size_t free = memory.largest_free(); free != 0; free = memory.largest_free()) {
    rest.emplace_back(memory.allocate(free), free);
  }
  std::size_t served = 0;
  for (;;) {
    const auto got = two.allocate(200, false);
    if (got.block == nullptr) {
      EXPECT_STREQ(got.reason, "no run of free fragments is long enough");
      break;
    }
    ++served;
  }
  EXPECT_GT(served, 60U) << "two pages";
  for (const auto& [p, bytes] : rest) memory.deallocate(p, bytes);
}

TEST_F(SmallHeap, SaysWhatIsWrong) {
  void* const p = take(100);
  const fragment_owner where = memory.owner(p);
  EXPECT_TRUE(heap.has(where.tag));
  EXPECT_FALSE(heap.has(0));
  EXPECT_FALSE(heap.has(first_tag + 1));
  EXPECT_EQ(where.bytes, page);
  EXPECT_NE(heap.deallocate(where.start, 0, where), nullptr) << "what lies in front of a page is not read";
  EXPECT_NE(heap.deallocate(static_cast<std::byte*>(p) + 16, 0, where), nullptr);
  EXPECT_STREQ(heap.deallocate(p, 200, where), "deallocated a block with more bytes than it has");
  EXPECT_GE(heap.usable_size(p, where), 100U);
  EXPECT_TRUE(heap.resize(p, 200, where));
  EXPECT_GE(heap.usable_size(p, where), 200U);
  EXPECT_EQ(heap.deallocate(p, 200, where), nullptr);
  EXPECT_EQ(heap.usable_size(p, where), 0U);
  EXPECT_EQ(heap.usable_size(where.start, where), 0U);
  EXPECT_NE(heap.deallocate(p, 200, where), nullptr);
}

}  // namespace
}  // namespace strata::pmr
