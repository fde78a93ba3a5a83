// SPDX-License-Identifier: Apache-2.0
// Claims: medians, and ratios to the best reference of the row; what was not measured shows as such.
#include <gtest/gtest.h>

#include <cmath>
#include <string>

import bench;

namespace {

TEST(RatioTable, ComparesWithTheBestReference) {
  bench::ratio_table table({{"slow", true}, {"fast", true}, {"other", false}, {"ours", false}},
                           {"pair", "never", "churn"});
  for (const double figure : {30.0, 90.0, 40.0}) table.add("pair", "slow", figure);
  table.add("pair", "fast", 20.0);
  table.add("pair", "other", 5.0);
  table.add("pair", "ours", 15.0);
  table.add("churn", "slow", 100.0);
  table.add("churn", "ours", std::nan(""));
  EXPECT_EQ(table.text("ns", 1),
            "ns                                   slow             fast            other             ours\n"
            "pair                          40.0   2.00      20.0   1.00       5.0   0.25      15.0   0.75\n"
            "churn                        100.0   1.00                -                -                -\n");
}

TEST(RatioTable, GivesNoRatioWithoutAReference) {
  bench::ratio_table table({{"peer", true}, {"ours", false}}, {"pair"});
  table.add("pair", "ours", 1.5);
  EXPECT_EQ(table.text("ns", 2),
            "ns                                   peer             ours\n"
            "pair                                    -      1.50      -\n");
}

}  // namespace
