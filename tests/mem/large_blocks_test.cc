// SPDX-License-Identifier: Apache-2.0
// Claims: a whole block holds the request and its record, or there is none; a kept block serves a request of its size
// and alignment only; what is kept stays within bytes and places, the oldest going first; clear() returns every block
// once.
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <set>
#include <vector>

import strata.mem;

namespace strata::mem {
namespace {

struct LargeBlocks : testing::Test {
  static constexpr std::size_t size = large_blocks::quantum;
  std::vector<std::vector<std::max_align_t>> memory;
  large_blocks blocks;

  void* fresh(std::size_t bytes = size, std::size_t alignment = 16) {
    memory.emplace_back(bytes / sizeof(std::max_align_t));
    blocks.add(memory.back().data(), bytes, alignment);
    return memory.back().data();
  }
};

TEST_F(LargeBlocks, WholeBlocksHoldRequestAndRecord) {
  for (const std::size_t bytes :
       {std::size_t{0}, std::size_t{1}, size - sizeof(large_block), size - sizeof(large_block) + 1, size, 100 * size}) {
    const std::size_t whole = large_blocks::whole(bytes);
    EXPECT_GE(whole, bytes + sizeof(large_block));
    EXPECT_LT(whole, bytes + sizeof(large_block) + size);
    EXPECT_EQ(whole % size, 0U);
  }
  EXPECT_EQ(large_blocks::whole(std::numeric_limits<std::size_t>::max()), 0U);
  EXPECT_EQ(large_blocks::whole(max_object), 0U);
}

TEST_F(LargeBlocks, ServesTheSameSizeAndAlignmentAgain) {
  void* const p = fresh(2 * size, 64);
  EXPECT_EQ(blocks.count().live, 2 * size);
  blocks.keep(p, 2 * size);
  EXPECT_EQ(blocks.count().kept, 2 * size);
  EXPECT_EQ(blocks.reuse(size, 64), nullptr);
  EXPECT_EQ(blocks.reuse(2 * size, 16), nullptr);
  EXPECT_EQ(blocks.reuse(2 * size, 64), p);
  EXPECT_EQ(blocks.reuse(2 * size, 64), nullptr);
  EXPECT_EQ(blocks.count().live, 2 * size);
  EXPECT_EQ(blocks.count().kept, 0U);
}

TEST_F(LargeBlocks, EvictsTheOldestBeyondBytesOrPlaces) {
  std::vector<void*> all;
  for (std::size_t i = 0; i < large_blocks::places + 2; ++i) all.push_back(fresh());
  for (void* const p : all) blocks.keep(p, size);
  const std::size_t plenty = std::size_t{1} << 30;
  EXPECT_EQ(blocks.evict(plenty)->base, all[0]);
  EXPECT_EQ(blocks.evict(plenty)->base, all[1]);
  EXPECT_EQ(blocks.evict(plenty), nullptr);
  EXPECT_EQ(blocks.evict(15 * size)->base, all[2]);
  EXPECT_EQ(blocks.evict(15 * size), nullptr);
  EXPECT_EQ(blocks.reuse(size, 16), all.back()) << "the newest first";
  for (std::size_t i = 3; i + 1 < all.size(); ++i) EXPECT_EQ(blocks.evict(0)->base, all[i]);
  EXPECT_EQ(blocks.evict(0), nullptr);
  EXPECT_EQ(blocks.count().kept, 0U);
}

TEST_F(LargeBlocks, ClearReturnsLiveAndKeptOnce) {
  std::set<void*> all;
  for (int i = 0; i < 10; ++i) {
    void* const p = fresh();
    all.insert(p);
    if (i % 2 == 0) blocks.keep(p, size);
  }
  for (const large_block* b = blocks.clear(); b != nullptr; b = b->next) EXPECT_EQ(all.erase(b->base), 1U);
  EXPECT_TRUE(all.empty());
  EXPECT_EQ(blocks.clear(), nullptr);
  EXPECT_EQ(blocks.count().live, 0U);
}

}  // namespace
}  // namespace strata::mem
