// SPDX-License-Identifier: Apache-2.0
// Claims: a misuse reaches the handler as it was reported; the handler is replaced and restored; the default prints one
// sentence, then what is known of the blocks, and aborts; as an exception it keeps the sentence; none of it takes memory
// from the heap.
#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <cstring>
#include <exception>
#include <string>

#include "tests/pmr/watched_memory.h"
#include "tests/support/counting_default.h"

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

constexpr std::array<const void*, 1> somewhere{&last};

misuse whole_story(const block_trace& block) {
  return {.layer = "orders",
          .sentence = "a sentence",
          .pointer = block.pointer,
          .bytes = 7,
          .alignment = 8,
          .thread = 3,
          .detail = "more",
          .where = static_cast<const char*>(block.pointer) + 12,
          .blocks = {&block, 1}};
}

const block_trace traced{.pointer = reinterpret_cast<const void*>(0x1000),
                         .bytes = 10,
                         .alignment = 16,
                         .number = 5,
                         .allocated = {1, somewhere},
                         .freed = {2, somewhere}};

TEST(Misuse, IsPrintedWithAllThatIsKnown) {
  kept_lines out;
  ASSERT_TRUE(test::heap_is_watched());
  print_misuse(whole_story(traced), text_sink(kept_lines::keep, &out));
  ASSERT_EQ(out.lines.size(), 7U);
  EXPECT_EQ(out.lines[0], "strata: orders: a sentence: more (block 0x1000, 7 bytes aligned to 8, thread 3)\n");
  EXPECT_EQ(out.lines[1], "  byte 0x100c is number 3 after its end\n");
  EXPECT_EQ(out.lines[2], "  block 0x1000, 10 bytes aligned to 16, of call 5\n");
  EXPECT_EQ(out.lines[3], "    allocated by thread 1\n");
  EXPECT_EQ(out.lines[4].substr(0, 11), "      #0 0x");
  EXPECT_EQ(out.lines[5], "    deallocated by thread 2\n");
}

TEST(Misuse, SaysWhereAByteLiesToTheBlock) {
  const auto place = [](std::ptrdiff_t at) {
    kept_lines out;
    misuse what = whole_story(traced);
    what.where = static_cast<const char*>(traced.pointer) + at;
    print_misuse(what, text_sink(kept_lines::keep, &out));
    return out.lines.at(1);
  };
  EXPECT_EQ(place(-1), "  byte 0xfff is number 1 before its start\n");
  EXPECT_EQ(place(0), "  byte 0x1000 is number 0 of it, counted from 0\n");
  EXPECT_EQ(place(9), "  byte 0x1009 is number 9 of it, counted from 0\n");
  EXPECT_EQ(place(10), "  byte 0x100a is number 1 after its end\n");
}

TEST(Misuse, OfManyBlocksSaysHowMany) {
  kept_lines out;
  print_misuse({.layer = "orders", .sentence = "a sentence", .bytes = 30, .count = 3},
               text_sink(kept_lines::keep, &out));
  print_misuse({.layer = "orders", .sentence = "a sentence", .bytes = 30, .count = 1},
               text_sink(kept_lines::keep, &out));
  EXPECT_EQ(out.all(),
            "strata: orders: a sentence (3 blocks, 30 bytes)\nstrata: orders: a sentence (1 block, 30 bytes)\n");
}

TEST(Misuse, TakesNothingFromTheHeapToBePrintedOrMadeAnException) {
  const auto nowhere = [](void*, const char*, std::size_t) noexcept {};
  const test::counting_default watch;
  print_misuse(whole_story(traced), text_sink(nowhere, nullptr));
  const misuse_error error(whole_story(traced));
  const test::heap_use used = watch.used();
  EXPECT_EQ(used.malloc + used.operator_new + used.default_resource, 0U);
  EXPECT_STREQ(error.what(), "strata: orders: a sentence: more (block 0x1000, 7 bytes aligned to 8, thread 3)");
}

TEST(Misuse, IsAnExceptionThatOutlivesWhatItIsAbout) {
  std::string detail = "more";
  misuse what = whole_story(traced);
  what.detail = detail.c_str();
  const misuse_error error(what);
  detail = "less";
  const misuse_error copy = error;  // NOLINT(performance-unnecessary-copy-initialization)
  EXPECT_NE(std::string(copy.what()).find("a sentence: more"), std::string::npos);
  EXPECT_STREQ(copy.layer(), "orders");
  EXPECT_STREQ(copy.sentence(), "a sentence");
  EXPECT_EQ(copy.pointer(), traced.pointer);
}

}  // namespace
}  // namespace strata::pmr
