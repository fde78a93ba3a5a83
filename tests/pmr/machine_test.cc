// SPDX-License-Identifier: Apache-2.0
// Claims: what the machine offers is told through this floor: page sizes ascending, the largest the last, facts by group.
#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <set>
#include <string>

import strata.pmr;

namespace strata::pmr {
namespace {

TEST(Machine, PageSizesAreAscendingAndTheLargestIsTheLast) {
  std::array<std::size_t, 64> sizes{};
  const std::size_t count = page_sizes(sizes);
  ASSERT_GE(count, 1U);
  for (std::size_t i = 1; i < count; ++i) EXPECT_LT(sizes[i - 1], sizes[i]);
  EXPECT_EQ(largest_page(), sizes[count - 1]);
  if (large_page_bytes() != 0) EXPECT_LE(large_page_bytes(), largest_page());
}

TEST(Machine, FactsComeGroupByGroup) {
  std::set<std::string> groups;
  std::string last;
  facts([&](const fact& f) {
    if (f.group == last) return;
    last = f.group;
    EXPECT_TRUE(groups.insert(last).second) << last << " comes in two places";
  });
  EXPECT_TRUE(groups.contains("memory"));
  EXPECT_TRUE(groups.contains("limit"));
  EXPECT_TRUE(groups.contains("pages"));
}

}  // namespace
}  // namespace strata::pmr
