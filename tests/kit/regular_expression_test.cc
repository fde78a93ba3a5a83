// SPDX-License-Identifier: Apache-2.0
// Claims: a match is found with its groups, over lines, or none; all matches are found in order; what is no expression is
// refused.
#include "tests/support/regular_expression.h"

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <vector>

namespace strata::test {
namespace {

using texts = std::vector<std::string>;

TEST(RegularExpression, FindsTheFirstMatchAndItsGroups) {
  const regular_expression number("byte (0x[0-9a-f]+)( of)? it");
  EXPECT_EQ(number.search("byte 7\nbyte 0x1f it, byte 0x2 of it"), (texts{"byte 0x1f it", "0x1f", ""}));
  EXPECT_EQ(number.search("byte 0x2 of it"), (texts{"byte 0x2 of it", "0x2", " of"}));
  EXPECT_EQ(number.search("byte"), texts{});
}

TEST(RegularExpression, GoesOverLines) {
  EXPECT_TRUE(regular_expression("^one.*\nthree$").is_in("one\ntwo\nthree"));
  EXPECT_FALSE(regular_expression("^two").is_in("one\ntwo\nthree"));
}

TEST(RegularExpression, FindsAllMatches) {
  EXPECT_EQ(regular_expression("[a-z]+|\n").all("1 ab\xff c\n"), (texts{"ab", "c", "\n"}));
  EXPECT_EQ(regular_expression("x").all(""), texts{});
  EXPECT_EQ(regular_expression("x*").all("yx"), texts{}) << "the first is empty";
}

TEST(RegularExpression, RefusesWhatIsNone) { EXPECT_THROW(regular_expression("(a"), std::invalid_argument); }

}  // namespace
}  // namespace strata::test
