// SPDX-License-Identifier: Apache-2.0
// Claims: the tables show figures with ratios to the best peer, and whether targets are met; what was not measured
// shows as such. Every target and goal is of a row that there is.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <set>
#include <string>
#include <string_view>

import bench;

namespace {

using bench::unit;

bench::comparison figures() {
  bench::comparison from(
      {{"slow", "", true, true}, {"fast", "", true, true}, {"slabs", "", false, false}, {"heap", "", false, false}},
      {{"pair_16", "", unit::nanoseconds},
       {"memory_live", "", unit::ratio},
       {"never", "", unit::cycles},
       {"other", "", unit::cycles}});
  from.add("pair_16", "slow", 40);
  from.add("pair_16", "fast", 20);
  from.add("pair_16", "slabs", 15);
  from.add("memory_live", "slow", 1);
  from.add("memory_live", "slabs", 1.25);
  from.add("other", "heap", 100);
  return from;
}

TEST(Table, ShowsOursBesideTheBestPeerAndTheTargets) {
  EXPECT_EQ(bench::summary_table(figures(), "slabs"),
            "                         best peer                           slabs         target             heap\n"
            "pair_16         ns           20.0 fast                 15.0   0.75  x 0.75 met                   -\n"
            "memory_live     ratio        1.00 slow                 1.25   1.25    1.08 missed                -\n"
            "other           cycles          -                                -                      100      -\n");
}

TEST(Table, ShowsEveryPeer) {
  EXPECT_EQ(bench::peer_table(figures()),
            "                                    slow             fast\n"
            "pair_16         ns           40.0   2.00      20.0   1.00\n"
            "memory_live     ratio        1.00   1.00                -\n"
            "other           cycles                 -                -\n");
}

TEST(Table, ShowsEveryContenderBesideReferencesAndGoals) {
  constexpr std::string_view references[] = {"fast", "slow"};
  constexpr bench::goal goals[] = {{"pair_16", "slabs", "fast", 0.5},
                                   {"pair_16", "slabs", "slow", 0.375},
                                   {"memory_live", "slabs", "fast", 1},
                                   {"other", "nobody", "fast", 1}};
  EXPECT_EQ(bench::reference_table(figures(), references, goals),
            "                                                       / fast      / slow  at most\n"
            "pair_16         ns     slow                  40.0        2.00        1.00\n"
            "                       fast                  20.0        1.00        0.50\n"
            "                       slabs                 15.0        0.75        0.38  0.50 of fast: missed  0.38 of "
            "slow: met\n"
            "memory_live     ratio  slow                  1.00           -        1.00\n"
            "                       slabs                 1.25           -        1.25\n"
            "other           cycles heap                   100           -           -\n");
}

TEST(Goals, AreOfRowsAndContendersThatThereAre) {
  const auto is_one_of = [](const auto& among, std::string_view name) {
    return std::any_of(among.begin(), among.end(), [&](const auto& each) { return each.name == name; });
  };
  EXPECT_GT(bench::shadow_goals().size(), 0U);
  for (const bench::goal& each : bench::shadow_goals()) {
    EXPECT_TRUE(is_one_of(bench::shadow_workloads(), each.row)) << each.row;
    EXPECT_TRUE(is_one_of(bench::shadow_contenders(), each.contender)) << each.contender;
    EXPECT_TRUE(is_one_of(bench::shadow_contenders(), each.reference)) << each.reference;
  }
}

TEST(Targets, AreOfRowsThatThereAre) {
  std::set<std::string> rows;
  std::size_t targets = 0;
  for (const bench::workload& w : bench::workloads()) {
    for (const char* figure : w.figures) {
      if (figure == nullptr) continue;
      EXPECT_TRUE(rows.insert(figure).second) << figure << " twice";
      targets += bench::find_target(figure) ? 1 : 0;
    }
  }
  EXPECT_EQ(targets, rows.size() - 3) << "all but tail_p99.9, chase_1g and reads_1g";
  EXPECT_FALSE(bench::find_target("nothing"));
}

}  // namespace
