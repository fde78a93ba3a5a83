// SPDX-License-Identifier: Apache-2.0
// Claims: each kind of misuse has a sentence of its own; what was written where it must not be is damage, a wrong call is
// not; what was known of a block is shown with its stacks, as deep as they were.
#include <gtest/gtest.h>

#include <set>
#include <string>

import strata.pmr;

namespace strata::pmr {
namespace {

TEST(Finding, HasASentenceForEachKind) {
  std::set<std::string> sentences;
  int kinds = 0;
  for (auto kind = misuse_kind::none; kind <= misuse_kind::tolerated;
       kind = static_cast<misuse_kind>(static_cast<int>(kind) + 1)) {
    ++kinds;
    EXPECT_STRNE(describe(kind), "");
    sentences.insert(describe(kind));
  }
  EXPECT_EQ(kinds, 16);
  EXPECT_EQ(sentences.size(), 16U);
}

TEST(Finding, TellsDamageFromAWrongCall) {
  using enum misuse_kind;
  for (const misuse_kind damage : {overrun, underrun, written_after_free, handed_out_twice, below, books}) {
    EXPECT_TRUE(is_damage(damage)) << describe(damage);
  }
  for (const misuse_kind wrong :
       {none, wrong_size, wrong_alignment, freed_twice, inside, elsewhere, foreign, damaged, leak, tolerated}) {
    EXPECT_FALSE(is_damage(wrong)) << describe(wrong);
  }
}

TEST(Finding, ShowsABlockWithItsStacks) {
  const int code = 0;
  block_copy block;
  block.pointer = &block;
  block.bytes = 10;
  block.alignment = 8;
  block.number = 3;
  block.made_by = 1;
  block.freed_by = 2;
  block.made_depth = 2;
  block.made_at[0] = block.made_at[1] = &code;
  const block_trace trace = block.trace();
  EXPECT_EQ(trace.pointer, &block);
  EXPECT_EQ(trace.bytes, 10U);
  EXPECT_EQ(trace.alignment, 8U);
  EXPECT_EQ(trace.number, 3U);
  EXPECT_EQ(trace.allocated.thread, 1U);
  ASSERT_EQ(trace.allocated.stack.size(), 2U);
  EXPECT_EQ(trace.allocated.stack[1], &code);
  EXPECT_EQ(trace.freed.thread, 2U);
  EXPECT_TRUE(trace.freed.stack.empty());
}

}  // namespace
}  // namespace strata::pmr
