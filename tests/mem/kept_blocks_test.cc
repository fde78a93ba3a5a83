// SPDX-License-Identifier: Apache-2.0
// Claims: what came last of a size goes first; sizes do not mix; a list takes so many blocks and so many bytes, sizes
// beyond the limit none; a cleared set has room again.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <vector>

import strata.mem;

namespace strata::mem {
namespace {

struct KeptBlocks : testing::Test {
  std::vector<block> memory = std::vector<block>(100);
  kept_blocks kept{kept_blocks::largest};
};

TEST_F(KeptBlocks, HandsOutTheLastOfASizeFirst) {
  kept.push(&memory[0], 64);
  kept.push(&memory[1], 64);
  kept.push(&memory[2], 80);
  EXPECT_EQ(kept.count(), 3U);
  EXPECT_EQ(kept.pop(96), nullptr);
  EXPECT_EQ(kept.pop(64), &memory[1]);
  EXPECT_EQ(kept.pop(64), &memory[0]);
  EXPECT_EQ(kept.pop(64), nullptr);
  EXPECT_EQ(kept.pop(80), &memory[2]);
  EXPECT_EQ(kept.count(), 0U);
}

TEST_F(KeptBlocks, HoldsSoManyBlocksAndSoManyBytesOfASize) {
  for (std::size_t size = block::smallest; size <= kept_blocks::largest; size += block::unit) {
    std::size_t pushed = 0;
    for (; kept.has_room(size); ++pushed) kept.push(&memory[pushed], size);
    EXPECT_EQ(pushed, std::min(kept_blocks::most_blocks, kept_blocks::most_bytes / size)) << size;
    kept.clear();
    EXPECT_TRUE(kept.has_room(size));
    EXPECT_EQ(kept.count(), 0U);
  }
  EXPECT_FALSE(kept.has_room(kept_blocks::largest + block::unit));
}

TEST_F(KeptBlocks, TakesNothingBeyondItsLimit) {
  const kept_blocks none{0};
  const kept_blocks some{100};
  for (std::size_t size = block::smallest; size <= 2 * kept_blocks::largest; size += block::unit) {
    EXPECT_FALSE(none.has_room(size));
    EXPECT_EQ(some.has_room(size), size <= 100);
  }
}

}  // namespace
}  // namespace strata::mem
