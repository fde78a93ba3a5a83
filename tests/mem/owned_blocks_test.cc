// SPDX-License-Identifier: Apache-2.0
// Claims: payloads are aligned, inside their block and apart, of no bytes too; impossible sizes are told; a block that
// comes back with another size, or to another owner, or is none, is noticed and left alone; what is live comes out of
// clear().
#include <gtest/gtest.h>

#include <cstddef>
#include <cstring>
#include <limits>
#include <new>

import strata.mem;

namespace strata::mem {
namespace {

using shared_blocks = owned_blocks<threads::any>;

template <class Blocks>
void* make(Blocks& blocks, std::size_t bytes, std::size_t alignment) {
  const std::size_t whole = Blocks::whole(bytes, alignment);
  const std::align_val_t whole_alignment{Blocks::whole_alignment(alignment)};
  return blocks.add(::operator new(whole, whole_alignment), bytes, alignment);
}

void free(const owned_block* b) { ::operator delete(b->base, b->bytes, std::align_val_t{b->alignment}); }

TEST(OwnedBlocks, AlignsItsPayloads) {
  shared_blocks blocks;
  for (std::size_t alignment = 1; alignment <= 4096; alignment *= 2) {
    for (const std::size_t bytes : {0U, 1U, 100U, 5000U}) {
      auto* const p = static_cast<std::byte*>(make(blocks, bytes, alignment));
      EXPECT_TRUE(is_aligned(p, alignment));
      std::memset(p, 0x5A, bytes);
      owned_block* b = nullptr;
      ASSERT_EQ(blocks.remove(p, bytes, b), owned_fault::none);
      EXPECT_LE(p + bytes, static_cast<std::byte*>(b->base) + b->bytes);
      EXPECT_LT(p, static_cast<std::byte*>(b->base) + b->bytes);
      free(b);
    }
  }
  EXPECT_EQ(blocks.bytes(), 0U);
}

TEST(OwnedBlocks, TellsImpossibleSizes) {
  constexpr std::size_t most = std::numeric_limits<std::size_t>::max();
  EXPECT_EQ(shared_blocks::whole(most, 1), 0U);
  EXPECT_EQ(shared_blocks::whole(most - 48, 16), 0U);
  EXPECT_EQ(shared_blocks::whole(max_object, 16), 0U);
  EXPECT_EQ(shared_blocks::whole(1, std::size_t{1} << 63), 0U);
  EXPECT_GT(shared_blocks::whole(0, 1), sizeof(owned_block));
}

TEST(OwnedBlocks, NoticesWhatIsNotItsOwn) {
  shared_blocks blocks;
  owned_blocks<threads::one> others;
  owned_block* b = nullptr;
  alignas(16) std::byte nothing[256] = {};
  void* const p = make(blocks, 100, 8);
  EXPECT_EQ(blocks.remove(p, 99, b), owned_fault::other_size);
  EXPECT_EQ(others.remove(p, 100, b), owned_fault::not_live);
  EXPECT_EQ(blocks.remove(static_cast<std::byte*>(p) + 8, 100, b), owned_fault::not_live);
  EXPECT_EQ(blocks.remove(static_cast<std::byte*>(p) + 1, 100, b), owned_fault::not_live);
  EXPECT_EQ(blocks.remove(nothing + 128, 100, b), owned_fault::not_live);
  EXPECT_EQ(b, nullptr);
  ASSERT_EQ(blocks.remove(p, 100, b), owned_fault::none);
  EXPECT_EQ(blocks.remove(p, 100, b), owned_fault::not_live);
  free(b);
}

TEST(OwnedBlocks, HandsOverWhatIsLive) {
  shared_blocks blocks;
  for (std::size_t i = 0; i < 10; ++i) (void)make(blocks, i, 16);
  std::size_t bytes = blocks.bytes();
  std::size_t count = 0;
  for (const owned_block* b = blocks.clear(); b != nullptr;) {
    const owned_block* const next = b->next;
    bytes -= b->bytes;
    ++count;
    free(b);
    b = next;
  }
  EXPECT_EQ(count, 10U);
  EXPECT_EQ(bytes, 0U);
  EXPECT_EQ(blocks.clear(), nullptr);
  EXPECT_EQ(blocks.bytes(), 0U);
}

}  // namespace
}  // namespace strata::mem
