// SPDX-License-Identifier: Apache-2.0
// Claims: options are refused, in a sentence, when they contradict themselves; a plan is what they say.
#include <gtest/gtest.h>

#include <cstddef>
#include <memory_resource>
#include <string>

#include "tests/support/refusal.h"

import strata.pmr;

namespace strata::pmr {
namespace {

std::string refusal_of(const shadow& options) {
  return test::refusal_of([&] { const shadow_resource<> memory(std::pmr::new_delete_resource(), options); });
}

TEST(ShadowOptions, AreRefusedWithTheRemedy) {
  EXPECT_EQ(refusal_of({}), "");
  EXPECT_EQ(refusal_of({.one_in = 0}),
            "strata::pmr::shadow \"shadow\": one_in is 0; 1 shadows every block, n one in n");
  EXPECT_EQ(refusal_of({.stack_depth = 33}),
            "strata::pmr::shadow \"shadow\": stack_depth is 33; it has to be 32 at most");
  EXPECT_EQ(refusal_of({.guards = shadow_guards::batched, .batch_blocks = 0}),
            "strata::pmr::shadow \"shadow\": batch_blocks is 0; a batch has a block at least");
  EXPECT_EQ(refusal_of({.hold_bytes = 0}),
            "strata::pmr::shadow \"shadow\": a quarantine without end: set hold_bytes or hold_ms, or take "
            "shadow_reuse::never");
  EXPECT_EQ(refusal_of({.reuse = shadow_reuse::never, .hold_bytes = 0}), "");
}

}  // namespace
}  // namespace strata::pmr
