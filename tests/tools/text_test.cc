// SPDX-License-Identifier: Apache-2.0
// Claims: names come back as they were before %XX; nothing that a terminal would obey gets through, UTF-8 does; HTML and
// JSON get no character that means something there; numbers are grouped, words counted; a field is a number or an
// address only as a whole.
#include <gtest/gtest.h>

#include <cstdint>
#include <optional>
#include <string>

import tools;

namespace {

TEST(Text, NamesComeBack) {
  EXPECT_EQ(tools::decoded("a%20b%2Cc%3Dd%25e"), "a b,c=d%e");
  EXPECT_EQ(tools::decoded("%c3%A4"), "\u00e4");
  EXPECT_EQ(tools::decoded("%"), "%");
  EXPECT_EQ(tools::decoded("50%2"), "50%2");
  EXPECT_EQ(tools::decoded("%zz%4g%-1"), "%zz%4g%-1");
  EXPECT_EQ(tools::decoded(""), "");
}

TEST(Text, WhatATerminalWouldObeyIsShown) {
  EXPECT_EQ(tools::printable("\033[31mred\a\x7f"), "\\x1b[31mred\\x07\\x7f");
  EXPECT_EQ(tools::printable("\u00e4 \u20ac \U0001f600"), "\u00e4 \u20ac \U0001f600");
  EXPECT_EQ(tools::printable("\xc2\x9b"), "\\xc2\\x9b") << "a control character of two bytes";
  EXPECT_EQ(tools::printable("\xc3"), "\\xc3") << "cut short";
  EXPECT_EQ(tools::printable("\xe0\x80\xaf\xed\xa0\x80\xf4\x90\x80\x80"),
            "\\xe0\\x80\\xaf\\xed\\xa0\\x80\\xf4\\x90\\x80\\x80")
      << "too long, surrogate, beyond the last";
}

TEST(Text, HtmlAndJsonMeanNothingElse) {
  EXPECT_EQ(tools::html("<b a=\"&\">"), "&lt;b a=&quot;&amp;&quot;&gt;");
  EXPECT_EQ(tools::json("a\"b\\c\n"), "\"a\\\"b\\\\c\\u000a\"");
}

TEST(Text, FiguresAreForPeople) {
  EXPECT_EQ(tools::grouped(0), "0");
  EXPECT_EQ(tools::grouped(999), "999");
  EXPECT_EQ(tools::grouped(1000), "1,000");
  EXPECT_EQ(tools::grouped(UINT64_MAX), "18,446,744,073,709,551,615");
  EXPECT_EQ(tools::for_people(1023), "1023 B");
  EXPECT_EQ(tools::for_people(1536), "1.5 KiB");
  EXPECT_EQ(tools::counted(1, "block"), "1 block");
  EXPECT_EQ(tools::counted(2000, "block"), "2,000 blocks");
}

TEST(Words, ALineIsItsFields) {
  tools::words line("a  b c");
  EXPECT_EQ(line.next(), "a");
  EXPECT_EQ(line.next(), "");
  EXPECT_EQ(line.next(), "b");
  EXPECT_EQ(line.rest(), "c");
  EXPECT_EQ(line.next(), "c");
  EXPECT_EQ(line.next(), "");
}

TEST(Words, NumbersAreWholeOrNone) {
  EXPECT_EQ(tools::number("18446744073709551615"), UINT64_MAX);
  EXPECT_EQ(tools::address("0x7fff00"), 0x7fff00U);
  for (const char* wrong : {"", "-1", "+1", " 1", "1x", "18446744073709551616", "0x10", "1\x85"}) {
    EXPECT_EQ(tools::number(wrong), std::nullopt) << wrong;
  }
  for (const char* wrong : {"", "10", "0x", "0xg", "0x-1", "0x11112222333344445", "0x\xff"}) {
    EXPECT_EQ(tools::address(wrong), std::nullopt) << wrong;
  }
}

}  // namespace
