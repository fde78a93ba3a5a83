// SPDX-License-Identifier: Apache-2.0
// Claims: the flags have the values of the lineage and combine; patterns are those of the lineage, the block's address in
// the low bits; options that cannot be are refused with a sentence.
#include <gtest/gtest.h>

#include <cstddef>
#include <memory_resource>
#include <string>

#include "tests/support/refusal.h"

import strata.pmr;

namespace strata::pmr {
namespace {

TEST(DebugOptions, HaveTheSevenFlags) {
  using enum debug_flags;
  EXPECT_EQ(static_cast<unsigned>(antagonism), 1U);
  EXPECT_EQ(static_cast<unsigned>(paranoia), 2U);
  EXPECT_EQ(static_cast<unsigned>(verbosity), 4U);
  EXPECT_EQ(static_cast<unsigned>(debugging), 8U);
  EXPECT_EQ(static_cast<unsigned>(logging), 16U);
  EXPECT_EQ(static_cast<unsigned>(tolerance), 32U);
  EXPECT_EQ(static_cast<unsigned>(noreuse), 64U);
  EXPECT_EQ((paranoia | noreuse) & ~paranoia, noreuse);
}

// The example of the manual (S2-25), and D2-03: it is the address that is in the low bits, not an offset.
TEST(DebugOptions, APatternHasTheBlocksAddressInItsLowBits) {
  EXPECT_EQ(word_of(0x0001'2345, debug_pattern::allocated), 0xF901'2345U);
  EXPECT_EQ(word_of(0x0001'2345, debug_pattern::freed), 0xF701'2345U);
  EXPECT_EQ(word_of(0x0001'2345, debug_pattern::unallocated), 0xF101'2345U);
  EXPECT_EQ(word_of(0x7FFF'8801'2345, debug_pattern::allocated), 0x8801'2345U ^ 0xF900'0000U);
}

std::string refusal_of(const debug& options) {
  return test::refusal_of([&] { const debug_adaptor memory(std::pmr::new_delete_resource(), options); });
}

TEST(DebugOptions, AreRefusedWhereTheyCannotBe) {
  EXPECT_EQ(refusal_of({.name = "x", .pad = 0}), "strata::pmr::debug \"x\": pad is 0; it has to be 1 to 1048576");
  EXPECT_EQ(refusal_of({.name = "x", .pad = (std::size_t{1} << 20) + 1}),
            "strata::pmr::debug \"x\": pad is 1048577; it has to be 1 to 1048576");
  EXPECT_EQ(refusal_of({.name = "x", .stack_depth = max_stack_depth + 1}),
            "strata::pmr::debug \"x\": stack_depth is 33; it has to be 32 at most");
  EXPECT_EQ(refusal_of({.name = "x", .log_depth = max_stack_depth + 1}),
            "strata::pmr::debug \"x\": log_depth is 33; it has to be 32 at most");
  EXPECT_EQ(refusal_of({.name = "x", .max_blocks = 0}),
            "strata::pmr::debug \"x\": max_blocks is 0; a memory without blocks serves nobody");
  EXPECT_EQ(refusal_of({.name = "x", .when_misused = on_misuse::call}),
            "strata::pmr::debug \"x\": handler and on_misuse::call belong together; give both or neither");
  EXPECT_EQ(refusal_of({.name = "x"}), "");
}

}  // namespace
}  // namespace strata::pmr
