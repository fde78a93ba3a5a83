// SPDX-License-Identifier: Apache-2.0
// Claims: a line is written whole, in one call, to a stream or a function; numbers, addresses and words are written as
// documented; what does not fit is cut off, and the line still ends.
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

import strata.pmr;

namespace strata::pmr {
namespace {

void keep(void* to, const char* text, std::size_t bytes) noexcept {
  static_cast<std::vector<std::string>*>(to)->emplace_back(text, bytes);
}

TEST(TextSink, GetsALineWhole) {
  std::vector<std::string> pieces;
  const text_sink sink(keep, &pieces);
  text_line line;
  line << "a block of " << std::size_t{18446744073709551615U} << " bytes at " << reinterpret_cast<const void*>(0xABCDEF)
       << ", null is " << static_cast<const void*>(nullptr);
  line.write_to(sink);
  EXPECT_EQ(pieces, std::vector<std::string>{"a block of 18446744073709551615 bytes at 0xabcdef, null is 0x0\n"});
}

TEST(TextSink, OfAStreamWritesToIt) {
  std::FILE* const file = std::tmpfile();
  ASSERT_NE(file, nullptr);
  text_line line;
  line << "one line";
  line.write_to(file);
  line.write_to(file);
  std::rewind(file);
  char text[64] = {};
  EXPECT_EQ(std::fread(text, 1, sizeof text, file), 18U);
  EXPECT_STREQ(text, "one line\none line\n");
  std::fclose(file);
}

TEST(TextSinkDeathTest, IsStandardErrorUnlessToldOtherwise) {
  const auto write = [] {
    text_line line;
    line << "said";
    line.write_to(text_sink());
    std::abort();
  };
  EXPECT_DEATH(write(), "^said\n");
}

TEST(TextLine, WritesAnyNameAsOneWord) {
  text_line line;
  line.word("plain-name_1:x").word(" %,=").word("\t\x7F\xC3\xA4");
  EXPECT_EQ(line.text(), "plain-name_1:x%20%25%2C%3D%09%7F%C3%A4");
}

TEST(TextLine, IsCutOffAndStillEnds) {
  text_line line;
  for (int i = 0; i < 1000; ++i) line << "0123456789";
  std::vector<std::string> pieces;
  line.write_to(text_sink(keep, &pieces));
  ASSERT_EQ(pieces.size(), 1U);
  EXPECT_LT(pieces[0].size(), 10'000U);
  EXPECT_EQ(pieces[0].back(), '\n');
  EXPECT_EQ(pieces[0].find('\n'), pieces[0].size() - 1);
}

}  // namespace
}  // namespace strata::pmr
