// SPDX-License-Identifier: Apache-2.0
// Claims: medians, and ratios to the best reference of the row or to a column by name; what was not measured has neither.
#include <gtest/gtest.h>

#include <optional>

import bench;

namespace {

using bench::unit;

bench::comparison two_rows() {
  return {
      {{"slow", "", true, true}, {"fast", "", true, true}, {"unshared", "", true, false}, {"ours", "", false, false}},
      {{"pair", "", unit::nanoseconds}, {"churn", "", unit::nanoseconds}}};
}

TEST(Comparison, TakesTheMedianOfWhatWasMeasured) {
  auto table = two_rows();
  for (const double figure : {30.0, 90.0, 40.0}) table.add("pair", "slow", figure);
  for (const double figure : {30.0, 90.0, 40.0, 10.0}) table.add("pair", "ours", figure);
  EXPECT_EQ(table.figure(0, 0), 40.0);
  EXPECT_EQ(table.figure(0, 3), 35.0);
  EXPECT_EQ(table.figure(1, 0), std::nullopt);
}

TEST(Comparison, ComparesWithTheBestReferenceOfTheRow) {
  auto table = two_rows();
  table.add("pair", "slow", 40);
  table.add("pair", "fast", 20);
  table.add("pair", "unshared", 5);
  table.add("pair", "ours", 10);
  table.add("churn", "slow", 8);
  table.add("churn", "ours", 16);
  EXPECT_EQ(table.best(0), 1U);
  EXPECT_EQ(table.ratio(0, 0), 2.0);
  EXPECT_EQ(table.ratio(0, 2), 0.25);
  EXPECT_EQ(table.ratio(0, 3), 0.5);
  EXPECT_EQ(table.best(1), 0U);
  EXPECT_EQ(table.ratio(1, 3), 2.0);
  EXPECT_EQ(table.ratio(1, 1), std::nullopt);
}

TEST(Comparison, GivesNoRatioWithoutAReference) {
  auto table = two_rows();
  table.add("pair", "ours", 1);
  EXPECT_EQ(table.best(0), std::nullopt);
  EXPECT_EQ(table.ratio(0, 3), std::nullopt);
  table.add("pair", "fast", 0);
  EXPECT_EQ(table.ratio(0, 3), std::nullopt) << "a ratio to nothing";
}

TEST(Comparison, ComparesWithAColumnByName) {
  auto table = two_rows();
  table.add("pair", "unshared", 5);
  table.add("pair", "ours", 10);
  table.add("churn", "unshared", 0);
  table.add("churn", "ours", 1);
  EXPECT_EQ(table.ratio(0, 3, "unshared"), 2.0);
  EXPECT_EQ(table.ratio(0, 2, "unshared"), 1.0);
  EXPECT_EQ(table.ratio(0, 3, "slow"), std::nullopt) << "not measured";
  EXPECT_EQ(table.ratio(0, 0, "unshared"), std::nullopt) << "not measured";
  EXPECT_EQ(table.ratio(1, 3, "unshared"), std::nullopt) << "a ratio to nothing";
  EXPECT_EQ(table.ratio(0, 3, "left out"), std::nullopt) << "not there";
}

TEST(Comparison, RefusesNamesItDoesNotKnow) {
  auto table = two_rows();
  EXPECT_ANY_THROW(table.add("pear", "ours", 1));
  EXPECT_ANY_THROW(table.add("pair", "hours", 1));
}

}  // namespace
