// SPDX-License-Identifier: Apache-2.0
// Claims beyond conformance: arenas are asked for by min_arena, grow by an eighth of what is held and fall back to what
// one request needs; max_bytes is never exceeded; an emptied arena is kept within the stated hysteresis and trim()
// gives it back; release() voids all; in-place resize keeps the books; check() and walk() show the truth; misuse is one
// sentence each and changes nothing; live blocks at the end are misuse only when asked for.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <limits>
#include <memory_resource>
#include <new>
#include <string>
#include <vector>

#include "tests/support/recording_resource.h"

import strata.pmr;

namespace strata::pmr {
namespace {

constexpr std::size_t kib = 1024;
constexpr std::size_t mib = 1024 * kib;

struct HeapResource : testing::Test {
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

TEST_F(HeapResource, AsksUpstreamForNothingBeforeTheFirstBlock) {
  const heap_resource memory(&upstream);
  EXPECT_EQ(memory.stats().upstream, 0U);
  expect_sums(memory);
}

TEST_F(HeapResource, AsksForMinArenaAndServesManyBlocksFromIt) {
  heap_resource memory(&upstream, {.min_arena = 256 * kib});
  std::vector<void*> blocks;
  for (int i = 0; i < 1000; ++i) blocks.push_back(memory.allocate(200));
  EXPECT_EQ(memory.stats().upstream, 256 * kib);
  EXPECT_EQ(memory.stats().live, 200'000U);
  EXPECT_EQ(memory.stats().live_blocks, 1000U);
  expect_sums(memory);
  for (void* const p : blocks) memory.deallocate(p, 200);
  EXPECT_EQ(memory.stats().live, 0U);
  EXPECT_EQ(memory.stats().peak, 200'000U);
  expect_sums(memory);
}

TEST_F(HeapResource, GrowsByAnEighthUpToMaxArena) {
  const heap options{.min_arena = 64 * kib, .max_arena = 2 * mib};
  EXPECT_EQ(options.next_arena(0, 1), 64 * kib);
  EXPECT_EQ(options.next_arena(8 * mib, 1), 1 * mib);
  EXPECT_EQ(options.next_arena(800 * mib, 1), 2 * mib);
  EXPECT_GE(options.next_arena(0, 5 * mib + 1), 5 * mib + 1);
}

TEST_F(HeapResource, FallsBackToWhatTheRequestNeedsWhenUpstreamHasNoMore) {
  alignas(16) std::byte buffer[4096];
  std::pmr::monotonic_buffer_resource limited(buffer, sizeof(buffer), std::pmr::null_memory_resource());
  heap_resource memory(static_cast<std::pmr::memory_resource*>(&limited), {.min_arena = 1 * mib});
  void* const p = memory.allocate(1000);
  EXPECT_LT(memory.stats().upstream, 1200U);
  EXPECT_THROW((void)memory.allocate(10'000), std::bad_alloc);
  EXPECT_EQ(memory.stats().failures, 1U);
  expect_sums(memory);
  memory.deallocate(p, 1000);
}

TEST_F(HeapResource, NeverHoldsMoreThanMaxBytes) {
  heap_resource memory(&upstream, {.min_arena = 64 * kib, .max_bytes = 200 * kib});
  std::size_t got = 0;
  try {
    for (;; ++got) (void)memory.allocate(1000);
  } catch (const allocation_error& error) {
    EXPECT_NE(std::string(error.what()).find("max_bytes"), std::string::npos);
  }
  EXPECT_GE(got, 190U) << "the budget is to be used up, not only the whole arenas in it";
  EXPECT_LE(memory.stats().upstream, 200 * kib);
  EXPECT_THROW((void)memory.allocate(std::numeric_limits<std::size_t>::max()), allocation_error);
  expect_sums(memory);
  memory.release();
}

TEST_F(HeapResource, KeepsAnEmptiedArenaAndAsksUpstreamNothingOnRefill) {
  heap_resource memory(&upstream, {.min_arena = 64 * kib, .keep_empty = 64 * kib});
  memory.deallocate(memory.allocate(1000), 1000);
  EXPECT_EQ(memory.stats().upstream, 64 * kib);
  for (int i = 0; i < 100; ++i) {
    memory.deallocate(memory.allocate(50 * kib), 50 * kib);
    EXPECT_EQ(memory.stats().upstream, 64 * kib);
  }
  EXPECT_EQ(memory.trim(), 64 * kib);
  EXPECT_EQ(memory.stats().upstream, 0U);
  EXPECT_EQ(memory.trim(), 0U);
  expect_sums(memory);
}

TEST_F(HeapResource, GivesBackWhatGoesBeyondTheHysteresis) {
  heap_resource memory(&upstream, {.min_arena = 64 * kib, .max_arena = 64 * kib, .keep_empty = 0});
  std::vector<void*> blocks;  // one an arena
  for (int i = 0; i < 64; ++i) blocks.push_back(memory.allocate(60 * kib));
  const std::size_t most = memory.stats().upstream;
  for (void* const p : blocks) {
    memory.deallocate(p, 60 * kib);
    const statistics s = memory.stats();
    EXPECT_LE(s.kept, s.upstream / 8 + 64 * (4 * kib))
        << "an eighth in empty arenas, and what is left over in the others";
    expect_sums(memory);
  }
  EXPECT_GT(most, 60 * 64 * kib);
  EXPECT_EQ(memory.stats().upstream, 0U);
}

TEST_F(HeapResource, ReleaseVoidsEverything) {
  heap_resource memory(&upstream);
  for (int i = 0; i < 1000; ++i) (void)memory.allocate(static_cast<std::size_t>(i) * 10, 64);
  memory.release();
  EXPECT_EQ(memory.stats().upstream, 0U);
  EXPECT_EQ(memory.stats().live, 0U);
  EXPECT_EQ(memory.stats().live_blocks, 0U);
  expect_sums(memory);
  void* const p = memory.allocate(10);
  memory.deallocate(p, 10);
}

TEST_F(HeapResource, ResizesInPlaceOrSaysNo) {
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

TEST_F(HeapResource, WalksTheBlocksThereAre) {
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

TEST_F(HeapResource, CheckFindsAnOverrun) {
  heap_resource memory(&upstream);
  auto* const p = static_cast<unsigned char*>(memory.allocate(40));
  p[40] ^= 1;
  EXPECT_STREQ(memory.check().sentence, "not a block of this heap, or the word in front of it was overwritten");
  p[40] ^= 1;
  EXPECT_FALSE(memory.check().found());
  memory.deallocate(p, 40);
}

TEST_F(HeapResource, ReportsMisuseAndStaysAsItWas) {
  set_misuse_handler(remember);
  reports.clear();
  heap_resource memory(&upstream, {.name = "orders"});
  heap_resource other(&upstream, {.name = "other"});
  auto* const p = static_cast<std::byte*>(memory.allocate(64));
  std::memset(p, 0, 64);
  void* const q = memory.allocate(64);
  memory.deallocate(q, 64);

  memory.deallocate(q, 64);
  ASSERT_EQ(reports.size(), 1U);
  EXPECT_STREQ(reports[0].layer, "orders");
  EXPECT_STREQ(reports[0].sentence, "the block is free already");
  EXPECT_EQ(reports[0].pointer, q);
  EXPECT_EQ(reports[0].bytes, 64U);

  memory.deallocate(p + 16, 48);
  other.deallocate(p, 64);
  ASSERT_EQ(reports.size(), 3U);
  EXPECT_STREQ(reports[1].sentence, "not a block of this heap, or the word in front of it was overwritten");
  EXPECT_STREQ(reports[2].layer, "other");

  EXPECT_EQ(memory.stats().live, 64U);
  expect_sums(memory);
  memory.deallocate(p, 64);
  EXPECT_EQ(reports.size(), 3U);
}

TEST_F(HeapResource, ReportsLiveBlocksAtTheEndOnlyWhenAskedTo) {
  set_misuse_handler(remember);
  reports.clear();
  {
    heap_resource quiet(&upstream);
    (void)quiet.allocate(1);
  }
  EXPECT_TRUE(reports.empty());
  {
    heap_resource strict(&upstream, {.name = "strict", .live_at_end_is_misuse = true});
    (void)strict.allocate(1);
  }
  ASSERT_EQ(reports.size(), 1U);
  EXPECT_STREQ(reports[0].sentence, "destroyed with live blocks: their arenas are gone");
}

using HeapResourceDeathTest = HeapResource;

TEST_F(HeapResourceDeathTest, DoubleDeallocationPrintsASentenceAndAborts) {
  heap_resource memory(&upstream, {.name = "orders"});
  void* const p = memory.allocate(64);
  memory.deallocate(p, 64);
  EXPECT_DEATH(memory.deallocate(p, 64),
               "strata: orders: the block is free already \\(block .*, 64 bytes aligned to 16\\)");
}

}  // namespace
}  // namespace strata::pmr
