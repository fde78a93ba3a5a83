// SPDX-License-Identifier: Apache-2.0
// Claims: a campaign measures each contender in each workload once a round, in an order that the seed decides; who is
// absent is named and not measured, who is not shareable is spared threads, and a failure is named and leaves the rest
// alone; but wrong books end it.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

import bench;

namespace {

using kind = bench::outcome::kind;
using bench::unit;

constexpr bench::workload kAlone{"alone", "", {"alone"}, unit::nanoseconds, 1, 0, 0, nullptr, nullptr};
constexpr bench::workload kThreads{"threads", "", {"first", "second"}, unit::cycles, 2, 0, 0, nullptr, nullptr};
constexpr bench::contender kPeer{"peer", "", true, true, nullptr};
constexpr bench::contender kUnshared{"unshared", "", true, false, nullptr};
constexpr bench::contender kOurs{"ours", "", false, true, nullptr};
constexpr bench::contender kAbsent{"gone", "", true, true, nullptr};

bench::plan plan(std::uint64_t seed) {
  return {{&kAlone, &kThreads}, {&kPeer, &kUnshared, &kOurs, &kAbsent}, 10, 1, seed};
}

/// Answers, and remembers who was asked for.
struct recorder {
  std::vector<std::string> asked;

  bench::measurer answering() {
    return [this](const bench::workload* what, const bench::contender& who) -> bench::outcome {
      if (what == nullptr) {
        if (who.name == kAbsent.name) return {kind::absent, {}, "not installed"};
        return {kind::figures, {}, {}};
      }
      asked.push_back(std::string(what->name) + " " + who.name);
      if (what->name == kAlone.name) return {kind::figures, {5}, {}};
      if (who.name == kPeer.name) return {kind::failed, {}, "killed"};
      return {kind::figures, {1, 2}, {}};
    };
  }
};

bool says(const std::vector<std::string>& sentences, const std::string& sentence) {
  return std::count(sentences.begin(), sentences.end(), sentence) == 1;
}

TEST(Campaign, MeasuresEverythingOnceARound) {
  recorder record;
  const auto result = bench::run_campaign(plan(1), record.answering());
  std::map<std::string, int> times;
  for (const std::string& one : record.asked) ++times[one];
  EXPECT_EQ(
      times,
      (std::map<std::string, int>{
          {"alone peer", 10}, {"alone unshared", 10}, {"alone ours", 10}, {"threads peer", 10}, {"threads ours", 10}}));
  const auto& rows = result.figures.rows();
  ASSERT_EQ(rows.size(), 3U);
  EXPECT_EQ(rows[2].name, "second");
  EXPECT_EQ(result.figures.samples(0, 0), std::vector<double>(10, 5.0));
  EXPECT_EQ(result.figures.samples(2, 2), std::vector<double>(10, 2.0));
  EXPECT_TRUE(result.figures.samples(1, 0).empty());
}

TEST(Campaign, NamesWhoIsLeftOutAndWhy) {
  recorder record;
  const auto result = bench::run_campaign(plan(1), record.answering());
  EXPECT_TRUE(says(result.left_out, "gone is left out: not installed"));
  EXPECT_TRUE(says(result.left_out, "unshared is not shareable: for one thread only"));
  EXPECT_TRUE(says(result.left_out, "peer is left out of threads: killed"));
  EXPECT_EQ(result.left_out.size(), 3U);
  EXPECT_EQ(result.figures.columns().size(), 3U);
}

TEST(Campaign, EndsWithASentenceWhereBooksAreWrong) {
  try {
    static_cast<void>(bench::run_campaign(plan(1), [](const bench::workload* what, const bench::contender& who) {
      if (what == nullptr || what->name != kThreads.name || who.name != kOurs.name)
        return bench::outcome{kind::figures, {}, {}};
      return bench::outcome{kind::wrong, {}, "heap took 16 bytes"};
    }));
    FAIL() << "it goes on";
  } catch (const bench::wrong& e) {
    EXPECT_STREQ(e.what(), "ours in threads: heap took 16 bytes");
  }
}

TEST(Campaign, GoesInAnOrderThatTheSeedDecides) {
  recorder a, b, c;
  static_cast<void>(bench::run_campaign(plan(1), a.answering()));
  static_cast<void>(bench::run_campaign(plan(1), b.answering()));
  static_cast<void>(bench::run_campaign(plan(2), c.answering()));
  EXPECT_EQ(a.asked, b.asked);
  EXPECT_NE(a.asked, c.asked);
  // Ten rounds of the same order by chance: once in 6^9.
  const std::vector<std::string> first(a.asked.begin(), a.asked.begin() + 5);
  bool other = false;
  for (std::size_t i = 5; i < a.asked.size(); i += 5) {
    other = other || !std::equal(first.begin(), first.end(), a.asked.begin() + static_cast<std::ptrdiff_t>(i));
  }
  EXPECT_TRUE(other);
}

}  // namespace
