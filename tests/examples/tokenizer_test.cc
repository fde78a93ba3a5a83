// SPDX-License-Identifier: Apache-2.0
// Claims: identifiers are found wherever they stand, with their line; numbers are none; any bytes will do; a random
// text gives what a regular expression finds in it.
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/support/regular_expression.h"

import index_headers;

namespace {

using found = std::vector<std::pair<std::string, std::uint32_t>>;

found identifiers(std::string_view text) {
  found result;
  index_headers::for_each_identifier(
      text, [&](std::string_view word, std::uint32_t line) { result.emplace_back(word, line); });
  return result;
}

TEST(Tokenizer, FindsIdentifiersWithTheirLines) {
  EXPECT_EQ(identifiers("int a_1;\n\nfor (_x)"), (found{{"int", 1}, {"a_1", 1}, {"for", 3}, {"_x", 3}}));
}

TEST(Tokenizer, LooksIntoCommentsAndStrings) {
  EXPECT_EQ(identifiers("// see\n\"text\" /* of\nit */"), (found{{"see", 1}, {"text", 2}, {"of", 2}, {"it", 3}}));
}

TEST(Tokenizer, TakesNumbersForNumbers) { EXPECT_EQ(identifiers("0x1F 10ul 1e9f 3_km x2"), (found{{"x2", 1}})); }

TEST(Tokenizer, TakesTheLastWordWithoutANewline) {
  EXPECT_EQ(identifiers("end"), (found{{"end", 1}}));
  EXPECT_EQ(identifiers(""), found{});
}

TEST(Tokenizer, AcceptsAnyBytes) {
  std::string text;
  for (int byte = 0; byte < 256; ++byte) text += static_cast<char>(byte);
  EXPECT_EQ(identifiers(text), (found{{"ABCDEFGHIJKLMNOPQRSTUVWXYZ", 2}, {"_", 2}, {"abcdefghijklmnopqrstuvwxyz", 2}}));
  EXPECT_EQ(identifiers("na\xc3\xafve"), (found{{"na", 1}, {"ve", 1}}));
}

TEST(Tokenizer, FindsWhatARegularExpressionFinds) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  constexpr std::string_view alphabet = "ab_Z09 \n.\xff";
  const strata::test::regular_expression word("[A-Za-z0-9_]+|\n");
  for (int round = 0; round < 200; ++round) {
    std::string text;
    for (std::size_t i = random() % 100; i > 0; --i) text += alphabet[random() % alphabet.size()];
    found expected;
    std::uint32_t line = 1;
    for (const std::string& piece : word.all(text)) {
      if (piece == "\n") {
        ++line;
      } else if (piece[0] < '0' || piece[0] > '9') {
        expected.emplace_back(piece, line);
      }
    }
    ASSERT_EQ(identifiers(text), expected) << text;
  }
}

}  // namespace
