// SPDX-License-Identifier: Apache-2.0
// Claims: the live set is what was handed out and not taken back; failed and refused calls change nothing; a block given
// back is gone from the beginning of that call, so another thread may have its address before its end; layers do not mix;
// what does not add up is counted with the line of its first; a log that breaks off leaves calls under way and what they
// were giving back live; any sequence of a trivial model is followed.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <initializer_list>
#include <iterator>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

import tools;

namespace {

using tools::oddity;
using blocks = std::map<std::uint64_t, std::uint64_t>;  // address to bytes

class LiveSet : public testing::Test {
 protected:
  void add(std::initializer_list<const char*> log) {
    for (const char* const line : log) set.add(line, true);
  }

  /// The live blocks of the only layer, or that number.
  blocks live(std::size_t layer = 0) const {
    blocks all;
    for (const auto& [pointer, block] : set.layers()[layer].live) all[pointer] = block.bytes;
    return all;
  }

  std::uint64_t oddities() const {
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < tools::oddities; ++i) sum += set.count(static_cast<oddity>(i)).times;
    return sum;
  }

  tools::live_set set;
};

TEST_F(LiveSet, IsWhatWasHandedOutAndNotTakenBack) {
  add({"strata-log 1 d", "d 1 begin allocate bytes=64", "d 1 end allocate pointer=0xa0 bytes=64 stack=0x1,0x2",
       "d 2 begin allocate bytes=32", "d 2 end allocate pointer=0xb0 bytes=32",
       "d 3 begin deallocate pointer=0xa0 bytes=64", "d 3 end deallocate pointer=0xa0 bytes=64"});
  set.finish();
  EXPECT_EQ(live(), (blocks{{0xb0, 32}}));
  EXPECT_EQ(oddities(), 0U);
}

TEST_F(LiveSet, FailedAndRefusedCallsChangeNothing) {
  add({"strata-log 1 d", "d 1 begin allocate bytes=64", "d 1 end allocate pointer=0xa0 bytes=64",
       "d 2 begin allocate bytes=99", "d 2 end allocate failed bytes=99", "d 3 begin deallocate pointer=0xa0 bytes=63",
       "d 3 end deallocate misuse bytes=63", "d 4 begin reallocate pointer=0xa0 bytes=64 to=128",
       "d 4 end reallocate failed bytes=128", "d 5 begin deallocate pointer=0xc0 bytes=1", "d 5 end deallocate misuse",
       "d 6 begin release", "d 6 end release misuse"});
  set.finish();
  EXPECT_EQ(live(), (blocks{{0xa0, 64}}));
  EXPECT_EQ(set.layers()[0].failed, 2U);
  EXPECT_EQ(set.layers()[0].misuse, 3U);
  EXPECT_EQ(oddities(), 0U);
}

TEST_F(LiveSet, ReallocationMovesAndTakesTheNewStack) {
  add({"d 1 begin allocate bytes=64", "d 1 end allocate pointer=0xa0 bytes=64 stack=0x1",
       "d 2 begin reallocate pointer=0xa0 bytes=64 to=128",
       "d 2 end reallocate pointer=0xb0 from=0xa0 bytes=128 stack=0x2"});
  EXPECT_EQ(live(), (blocks{{0xb0, 128}}));
  EXPECT_EQ(set.stacks()[set.layers()[0].live.at(0xb0).stack], "0x2");
  add({"d 3 begin reallocate pointer=0xb0 bytes=128 to=130", "d 3 end reallocate pointer=0xb0 from=0xb0 bytes=130"});
  EXPECT_EQ(live(), (blocks{{0xb0, 130}}));
  EXPECT_EQ(oddities(), 0U);
}

TEST_F(LiveSet, ReleaseEmptiesOneLayer) {
  add({"strata-log 1 d", "strata-log 1 e", "d 1 begin allocate bytes=1", "d 1 end allocate pointer=0xa0 bytes=1",
       "e 1 begin allocate bytes=2", "e 1 end allocate pointer=0xa0 bytes=2", "d 2 begin release", "d 2 end release"});
  EXPECT_EQ(live(0), blocks{});
  EXPECT_EQ(live(1), (blocks{{0xa0, 2}}));
  EXPECT_EQ(oddities(), 0U);
}

TEST_F(LiveSet, AnAddressMayBeHandedOutBeforeItsDeallocationHasEnded) {
  add({"d 1 begin allocate bytes=64", "d 1 end allocate pointer=0xa0 bytes=64",
       "d 2 begin deallocate pointer=0xa0 bytes=64 thread=1", "d 3 begin allocate bytes=60 thread=2",
       "d 3 end allocate pointer=0xa0 bytes=60 thread=2", "d 2 end deallocate pointer=0xa0 bytes=64 thread=1"});
  set.finish();
  EXPECT_EQ(live(), (blocks{{0xa0, 60}}));
  EXPECT_EQ(oddities(), 0U);
}

TEST_F(LiveSet, WhatIsUnderWayIsKept) {
  add({"d 1 begin allocate bytes=64", "d 1 end allocate pointer=0xa0 bytes=64",
       "d 2 begin deallocate pointer=0xa0 bytes=64", "d 3 begin allocate bytes=8"});
  set.finish();
  EXPECT_EQ(live(), (blocks{{0xa0, 64}})) << "nobody has seen it go";
  EXPECT_EQ(set.layers()[0].open.size(), 2U);
  EXPECT_EQ(set.layers()[0].open.at(3).line, 4U);
  EXPECT_EQ(oddities(), 0U);
}

TEST_F(LiveSet, CountsWhatDoesNotAddUp) {
  add({"strata-log 1 d",
       "d 1 end allocate pointer=0xa0 bytes=8",                                                 // 2: ended_unbegun
       "d 2 begin deallocate pointer=0xbb bytes=8", "d 2 end deallocate pointer=0xbb bytes=8",  // 4: freed_not_live
       "d 3 begin allocate bytes=9", "d 3 end allocate pointer=0xa0 bytes=9",                   // 6: handed_out_live
       "d 4 begin allocate bytes=1", "d 4 begin allocate bytes=2",                              // 8: begun_twice
       "strata-log 1 d",                                                                        // 9: same_name
       "d 5 begin allocate bytes=", "strata-log 7 d",  // 10: damaged, 11: version
       "d 6 begin reallocate pointer=0xcc bytes=1 to=2",
       "d 6 end reallocate pointer=0xdd from=0xcc bytes=2",  // 13: moved_not_live
       "e 1 begin allocate bytes="});                        // of no layer
  set.add("d 7 begin allocate bytes=6", false);              // 15: cut_short
  set.finish();
  const std::pair<oddity, std::uint64_t> expected[] = {
      {oddity::ended_unbegun, 2}, {oddity::freed_not_live, 4},  {oddity::handed_out_live, 6},
      {oddity::begun_twice, 8},   {oddity::same_name, 9},       {oddity::damaged, 10},
      {oddity::version, 11},      {oddity::moved_not_live, 13}, {oddity::cut_short, 15}};
  for (const auto& [what, line] : expected) {
    EXPECT_EQ(set.count(what).times, 1U) << line;
    EXPECT_EQ(set.count(what).first_line, line);
  }
  EXPECT_EQ(live(), (blocks{{0xa0, 9}, {0xdd, 2}}));
  EXPECT_EQ(set.others(), 1U);
}

TEST_F(LiveSet, ANullPointerIsNoBlock) {
  add({"d 1 begin deallocate pointer=0x0 bytes=0", "d 1 end deallocate pointer=0x0 bytes=0",
       "d 2 begin reallocate pointer=0x0 bytes=0 to=8", "d 2 end reallocate pointer=0xa0 from=0x0 bytes=8"});
  EXPECT_EQ(live(), (blocks{{0xa0, 8}}));
  EXPECT_EQ(oddities(), 0U);
}

TEST_F(LiveSet, NamesFunctionsAndLayersForPeople) {
  add({"strata-log 1 my%20heap", "frame 0x1 f(int%2C%20char)+0x8", "frame 0x2 ?"});
  EXPECT_EQ(set.layers()[0].name, "my heap");
  EXPECT_EQ(set.function(1), "f(int, char)+0x8");
  EXPECT_EQ(set.function(2), "?");
  EXPECT_EQ(set.function(3), "?");
}

TEST_F(LiveSet, FollowsATrivialModel) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  const auto below = [&](std::size_t n) { return std::uniform_int_distribution<std::size_t>(0, n - 1)(random); };
  blocks model;
  std::vector<std::string> unended;  // ends of calls, to be written some time later
  std::uint64_t fresh = 0x1000;
  for (std::uint64_t n = 1; n <= 20'000; ++n) {
    const std::string call = "d " + std::to_string(n);
    const std::string bytes = std::to_string(below(1000));
    char hex[32];
    if (model.empty() || below(2) == 0) {
      const std::uint64_t pointer = fresh += 16;
      std::snprintf(hex, sizeof hex, "0x%llx", static_cast<unsigned long long>(pointer));
      set.add(call + " begin allocate bytes=" + bytes, true);
      set.add(call + " end allocate pointer=" + hex + " bytes=" + bytes, true);
      model[pointer] = std::stoull(bytes);
    } else {
      const auto victim =
          std::next(model.begin(), static_cast<std::ptrdiff_t>(below(std::min<std::size_t>(model.size(), 50))));
      std::snprintf(hex, sizeof hex, "0x%llx", static_cast<unsigned long long>(victim->first));
      set.add(call + " begin deallocate pointer=" + hex + " bytes=1", true);
      if (below(4) == 0) {
        set.add(call + " end deallocate misuse", true);
      } else {
        unended.push_back(call + " end deallocate pointer=" + hex + " bytes=1");
        model.erase(victim);
      }
    }
    if (unended.size() > 5) {
      const std::size_t which = below(unended.size());
      set.add(unended[which], true);
      unended.erase(unended.begin() + static_cast<std::ptrdiff_t>(which));
    }
  }
  for (const std::string& end : unended) set.add(end, true);
  set.finish();
  EXPECT_EQ(live(), model);
  EXPECT_EQ(oddities(), 0U);
}

}  // namespace
