// SPDX-License-Identifier: Apache-2.0
// Claims: in-place resize keeps the books; a block gives all it holds; counters add up at every step (S2-20, D2-09); check()
// and walk() show the truth; foreign pointers are told without being read (D2-15); small blocks are looked at a few
// deallocations later, and by whatever asks, each fault told once.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory_resource>
#include <utility>
#include <vector>

#include "tests/support/recording_resource.h"

import strata.mem;
import strata.pmr;

namespace strata::pmr {
namespace {

constexpr std::size_t kib = 1024;
constexpr std::size_t mib = 1024 * kib;

// Under an inspector: what the heap would find in its own words is told before they are touched.
constexpr const char* told_by_inspection = "an inspector has this told earlier";

struct HeapBlocks : testing::Test {
  test::recording_resource upstream;

  void TearDown() override { set_misuse_handler(nullptr); }
};

std::vector<misuse> reports;
void remember(const misuse& what) { reports.push_back(what); }

void expect_sums(const layer& l) {
  const statistics s = l.stats();
  EXPECT_EQ(s.upstream, s.live + s.kept + s.overhead);
  EXPECT_FALSE(l.check().found()) << l.check().sentence;
}

TEST_F(HeapBlocks, ResizesInPlaceOrSaysNo) {
  heap_resource memory(&upstream);
  void* const p = memory.allocate(100);
  EXPECT_TRUE(memory.try_resize(p, 100, 10'000));
  EXPECT_GE(memory.usable_size(p), 10'000U);
  std::memset(p, 1, 10'000);
  EXPECT_EQ(memory.stats().live, 10'000U);
  expect_sums(memory);
  EXPECT_FALSE(memory.try_resize(p, 10'000, 10 * mib));
  EXPECT_EQ(memory.stats().live, 10'000U);
  EXPECT_TRUE(memory.try_resize(p, 10'000, 5));
  EXPECT_EQ(memory.stats().live, 5U);
  expect_sums(memory);
  memory.deallocate(p, 5);
}

TEST_F(HeapBlocks, HandsOutAllThatABlockHolds) {
  heap_resource memory(&upstream, {.quantum = 256});
  const sized_block b = memory.allocate_at_least(100);
  EXPECT_EQ(b.bytes, 248U);
  std::memset(b.at, 1, b.bytes);
  EXPECT_EQ(memory.stats().live, 248U);
  expect_sums(memory);
  void* const p = memory.allocate(10);
  EXPECT_EQ(memory.usable_size(p), mem::inspected() ? 10U : 248U) << "what was not asked for is hidden";
  EXPECT_EQ(memory.stats().live, 258U);
  EXPECT_EQ(memory.usable_size(p, 10), 248U);
  EXPECT_EQ(memory.stats().live, 2 * 248U);
  memory.deallocate(p, 248);
  memory.deallocate(b.at, b.bytes);
  EXPECT_EQ(memory.stats().live, 0U);
}

TEST_F(HeapBlocks, ExpandsAsFarAsItCan) {
  heap_resource memory(&upstream);
  void* const p = memory.allocate(100);
  void* const fence = memory.allocate(5000);
  void* const last = memory.allocate(100);
  EXPECT_EQ(memory.try_expand(p, 100, 200, 10'000), 100U) << "nothing is free above it";
  memory.deallocate(fence, 5000);
  (void)memory.trim();  // under an inspector it waits
  EXPECT_EQ(memory.try_expand(p, 100, 6000, 10'000), 100U);
  const std::size_t got = memory.try_expand(p, 100, 200, 10'000);
  EXPECT_GT(got, 5000U);
  EXPECT_LT(got, 5200U);
  std::memset(p, 2, got);
  expect_sums(memory);
  memory.deallocate(p, got);
  memory.deallocate(last, 100);
  EXPECT_EQ(memory.stats().live, 0U);
}

TEST_F(HeapBlocks, WalksTheBlocksThereAre) {
  heap_resource memory(&upstream);
  std::vector<const void*> blocks;
  for (int i = 0; i < 10; ++i) blocks.push_back(memory.allocate(100));
  std::vector<const void*> seen;
  std::size_t bytes = 0;
  memory.walk([&](const auto& b) {
    if (b.used) seen.push_back(b.payload);
    bytes += b.bytes;
  });
  EXPECT_TRUE(std::is_permutation(seen.begin(), seen.end(), blocks.begin(), blocks.end()));
  EXPECT_LE(bytes, memory.stats().upstream);
  EXPECT_GT(bytes, memory.stats().upstream - 100);
  memory.release();
}

TEST_F(HeapBlocks, CountersAddUpAtEveryStep) {
  heap_resource memory(&upstream, {.min_arena = 16 * kib, .keep_empty = 0});
  std::vector<std::pair<void*, std::size_t>> blocks;
  std::size_t frees = 0;
  std::uint64_t state = 12345;
  const auto next = [&] { return (state = state * 6364136223846793005U + 1442695040888963407U) >> 33U; };
  for (int i = 0; i < 5000; ++i) {
    if (blocks.size() < 50 || next() % 2 == 0) {
      const std::size_t bytes = next() % 3000;
      blocks.emplace_back(next() % 3 == 0 ? memory.allocate_aligned(bytes, next() % 100, 5, 0) : memory.allocate(bytes),
                          bytes);
    } else {
      std::swap(blocks[next() % blocks.size()], blocks.back());
      memory.deallocate(blocks.back().first, blocks.back().second);
      blocks.pop_back();
      ++frees;
    }
    const heap_figures now = memory.counters();
    ASSERT_EQ(now.arenas, now.used + now.free + now.overhead);
    ASSERT_EQ(now.frees, frees);
  }
  expect_sums(memory);
  memory.release();
}

TEST_F(HeapBlocks, CheckFindsAnOverrun) {
  if (mem::inspected()) GTEST_SKIP() << told_by_inspection;
  heap_resource memory(&upstream);
  auto* const p = static_cast<unsigned char*>(memory.allocate(40));
  p[40] ^= 1;
  EXPECT_STREQ(memory.check().sentence, "not a block of this heap, or the word in front of it was overwritten");
  p[40] ^= 1;
  EXPECT_FALSE(memory.check().found());
  memory.deallocate(p, 40);
}

TEST_F(HeapBlocks, TellsForeignPointersWithoutReadingThem) {
  heap_resource memory(&upstream, {.checks = true});
  void* const p = memory.allocate(100);
  for (const std::uintptr_t foreign : {std::uintptr_t{16}, std::uintptr_t{0xdead'0000}, UINTPTR_MAX - 15}) {
    const void* const nowhere = reinterpret_cast<const void*>(foreign);
    EXPECT_FALSE(memory.holds(nowhere));
    EXPECT_TRUE(memory.check(nowhere).found());
  }
  set_misuse_handler(remember);
  reports.clear();
  memory.deallocate(reinterpret_cast<void*>(std::uintptr_t{0xdead'0000}), 8);
  EXPECT_EQ(reports.size(), 1U);
  EXPECT_TRUE(memory.holds(p));
  EXPECT_FALSE(memory.check(p).found());
  EXPECT_FALSE(memory.check(nullptr).found());
  memory.deallocate(p, 100);
  EXPECT_FALSE(memory.holds(p));
}

TEST_F(HeapBlocks, LooksAtSmallBlocksAFewDeallocationsLater) {
  if (mem::inspected()) GTEST_SKIP() << told_by_inspection;
  set_misuse_handler(remember);
  reports.clear();
  {
    heap_resource memory(&upstream, {.name = "later"});
    std::vector<void*> blocks;
    for (int i = 0; i < 10; ++i) blocks.push_back(memory.allocate(64));
    memory.deallocate(blocks[0], 64);
    memory.deallocate(blocks[0], 64);
    EXPECT_TRUE(reports.empty());
    for (std::size_t i = 1; i < 6; ++i) memory.deallocate(blocks[i], 64);
    ASSERT_EQ(reports.size(), 1U);
    EXPECT_STREQ(reports[0].layer, "later");
    EXPECT_STREQ(reports[0].sentence, "the block is free already");
    EXPECT_EQ(reports[0].pointer, blocks[0]);
    EXPECT_EQ(reports[0].bytes, 64U);
    EXPECT_EQ(memory.stats().live, 4 * 64U);
    expect_sums(memory);

    memory.deallocate(blocks[6], 64);
    memory.deallocate(blocks[6], 64);
    EXPECT_EQ(memory.stats().live, 3 * 64U) << "who asks gets what is so";
    EXPECT_FALSE(memory.holds(blocks[6]));
    EXPECT_EQ(reports.size(), 1U);
    memory.deallocate(blocks[7], 64);
    EXPECT_EQ(reports.size(), 1U) << "nothing was due";
    (void)memory.allocate(100'000);
    ASSERT_EQ(reports.size(), 2U);
    EXPECT_EQ(reports[1].pointer, blocks[6]);
    memory.deallocate(blocks[8], 64);
    memory.deallocate(blocks[8], 64);
  }
  ASSERT_EQ(reports.size(), 3U) << "at the end, at the latest";
}

}  // namespace
}  // namespace strata::pmr
