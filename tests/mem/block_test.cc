// SPDX-License-Identifier: Apache-2.0
// Claims: size and flags survive together; neighbours are found both ways; a seal belongs to one word, one address and
// one key.
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

import strata.mem;

namespace strata::mem {
namespace {

constexpr std::uint64_t key = 0x1234'5678'9ABC'DEF0;

struct Block : testing::Test {
  alignas(16) std::byte memory[512]{};
  block* low = at<block>(memory, 8);
};

TEST_F(Block, KeepsSizeAndFlagsApart) {
  low->write(0x3FFF'FFFF'FFF0, block::used | block::first, key);
  EXPECT_EQ(low->size(), 0x3FFF'FFFF'FFF0U);
  EXPECT_TRUE(low->is_used());
  EXPECT_TRUE(low->is_first());
  EXPECT_FALSE(low->is_prev_used());
  low->set(block::prev_used, key);
  low->clear(block::used, key);
  EXPECT_EQ(low->size(), 0x3FFF'FFFF'FFF0U);
  EXPECT_FALSE(low->is_used());
  EXPECT_TRUE(low->is_prev_used());
  EXPECT_TRUE(low->is_sealed(key));
}

TEST_F(Block, FindsItsNeighboursBothWays) {
  low->write(64, 0, key);
  low->write_size_at_end();
  block* const high = low->above();
  EXPECT_EQ(address(high), address(low) + 64);
  high->write(32, block::used, key);
  EXPECT_EQ(high->below(), low);
  EXPECT_EQ(low->size_at_end(), 64U);
}

TEST_F(Block, PayloadIsAlignedAndLeadsBack) {
  EXPECT_TRUE(is_aligned(low->payload(), block::unit));
  EXPECT_EQ(block::of(low->payload()), low);
}

TEST_F(Block, SealBreaksWhenAnyBitOfTheWordChanges) {
  low->write(64, block::used, key);
  int accepted = 0;
  for (int bit = 0; bit < 64; ++bit) {
    low->word ^= std::uint64_t{1} << bit;
    accepted += low->is_sealed(key) ? 1 : 0;
    low->word ^= std::uint64_t{1} << bit;
  }
  EXPECT_EQ(accepted, 0);
  EXPECT_TRUE(low->is_sealed(key));
}

TEST_F(Block, SealIsWorthlessElsewhereAndUnderAnotherKey) {
  low->write(64, block::used, key);
  int accepted = 0;
  for (std::ptrdiff_t offset = 16; offset <= 480; offset += 16) {
    block* const copy = at<block>(low, offset);
    std::memcpy(&copy->word, &low->word, sizeof(copy->word));
    accepted += copy->is_sealed(key) ? 1 : 0;
  }
  for (std::uint64_t other = 1; other <= 1000; ++other) accepted += low->is_sealed(key + other) ? 1 : 0;
  // 1 030 chances of one in 65 536: more than two would be a weak seal.
  EXPECT_LE(accepted, 2);
}

}  // namespace
}  // namespace strata::mem
