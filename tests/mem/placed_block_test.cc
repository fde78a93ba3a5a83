// SPDX-License-Identifier: Apache-2.0
// Claims: the block is found from the address inside its payload, at every distance and alignment; a filler belongs to one
// address, one distance and one key, and is no block's word; payloads and addresses inside them are told apart.
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>

import strata.mem;

namespace strata::mem {
namespace {

constexpr std::uint64_t key = 0x1234'5678'9ABC'DEF0;

struct PlacedBlock : testing::Test {
  alignas(16) std::byte memory[1024]{};
  block* b = at<block>(memory, 8);
  std::byte* inside(std::size_t way) { return at<std::byte>(b->payload(), static_cast<std::ptrdiff_t>(way)); }
};

TEST_F(PlacedBlock, FindsTheBlockFromEveryAddressInside) {
  for (std::size_t way = least_way; way < 900; ++way) {
    std::byte* const p = inside(way);
    if (!is_inside(p)) continue;
    write_filler(p, way, key);
    EXPECT_TRUE(has_filler(p, key));
    EXPECT_EQ(way_to(p), way);
    EXPECT_EQ(block_at(p), b);
  }
}

TEST_F(PlacedBlock, TellsPayloadsFromAddressesInside) {
  EXPECT_FALSE(is_inside(b->payload()));
  EXPECT_EQ(block_at(b->payload()), b);
  EXPECT_TRUE(is_inside(inside(8)));
  EXPECT_TRUE(is_inside(inside(1)));
}

TEST_F(PlacedBlock, AFillerBelongsToOneAddressDistanceAndKey) {
  std::byte* const p = inside(100);
  write_filler(p, 100, key);
  EXPECT_FALSE(has_filler(p, key + (std::uint64_t{1} << 60)));
  for (std::byte* bit = p - 8; bit < p; ++bit) {
    for (int i = 0; i < 8; ++i) {
      *bit ^= std::byte{1} << i;
      EXPECT_FALSE(has_filler(p, key));
      *bit ^= std::byte{1} << i;
    }
  }
  std::byte* const copy = inside(204);
  __builtin_memcpy(copy - 8, p - 8, 8);
  EXPECT_FALSE(has_filler(copy, key));
  EXPECT_TRUE(has_filler(p, key));
}

TEST_F(PlacedBlock, AFillerIsNoBlocksWord) {
  std::byte* const p = inside(104);
  write_filler(p, 104, key);
  EXPECT_FALSE(block::of(p)->is_sealed(key));
  block::of(p)->write(104, block::used, key);
  EXPECT_FALSE(has_filler(p, key));
}

}  // namespace
}  // namespace strata::mem
