// SPDX-License-Identifier: Apache-2.0
// Claim: what a regular expression matched lives on the resource.
#include <regex>

#include "tests/support/conformance.h"

namespace strata::test {

/// The heap is not watched: std::regex_search keeps its own state in operator new and the default resource.
TEST_P(Conformance, CarriesMatchesOfRegularExpressions) {
  if (max_bytes() < 1024) GTEST_SKIP() << "max_bytes is too small for its matches";
  const instance home = make();
  const std::regex words("(\\w+) (\\d+)");
  std::pmr::cmatch match(home.get());
  ASSERT_TRUE(std::regex_search("element 0000007", match, words));
  EXPECT_EQ(match.get_allocator().resource(), home.get());
  EXPECT_EQ(match.str(2), "0000007");
}

}  // namespace strata::test
