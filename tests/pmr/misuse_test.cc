// SPDX-License-Identifier: Apache-2.0
// Claims: a misuse reaches the handler as it was reported; the handler is replaced and restored; the default prints one
// sentence and aborts.
#include <gtest/gtest.h>

#include <cstring>

import strata.pmr;

namespace strata::pmr {
namespace {

misuse last{};
void remember(const misuse& what) { last = what; }

TEST(Misuse, ReachesTheHandlerWhole) {
  set_misuse_handler(remember);
  const int block = 0;
  report_misuse({"orders", "a sentence", &block, 7, 8});
  EXPECT_STREQ(last.layer, "orders");
  EXPECT_STREQ(last.sentence, "a sentence");
  EXPECT_EQ(last.pointer, &block);
  EXPECT_EQ(last.bytes, 7U);
  EXPECT_EQ(last.alignment, 8U);
  EXPECT_EQ(set_misuse_handler(nullptr), &remember);
}

TEST(MisuseDeathTest, IsPrintedAndAbortsByDefault) {
  EXPECT_DEATH(report_misuse({"orders", "a sentence"}), "^strata: orders: a sentence\n");
  EXPECT_DEATH(report_misuse({"orders", "a sentence", &last, 7, 8}),
               "^strata: orders: a sentence \\(block 0x[0-9a-f]+, 7 bytes aligned to 8\\)\n");
}

}  // namespace
}  // namespace strata::pmr
