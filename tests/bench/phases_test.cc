// SPDX-License-Identifier: Apache-2.0
// Claims: the table of sizes is filled, from 1 to 512, and everyone asks for its sizes in its order; each thread goes
// through the phases as they are described and gives everything back; a contender is verified while the threads are there
// and when they are gone, and one whose books are wrong has no figures.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <memory>
#include <memory_resource>
#include <set>
#include <string>
#include <vector>

#include "tests/support/recording_resource.h"

import bench;

namespace {

using kind = bench::outcome::kind;

TEST(PhaseSizes, FillTheirTableWithEverySizeFrom1To512) {
  const auto all = bench::phase_sizes().all();
  const std::set<std::size_t> sizes(all.begin(), all.end());
  EXPECT_EQ(*sizes.begin(), 1U);
  EXPECT_EQ(*sizes.rbegin(), 512U);
  EXPECT_EQ(sizes.size(), 512U) << "the seed is fixed: all of them are there";
}

/// Shows what reaches the memory, in one thread, as a text: + and the size, or - and the number of the block.
class watching final : public std::pmr::memory_resource {
 public:
  std::vector<std::string> seen;

 private:
  void* do_allocate(std::size_t bytes, std::size_t alignment) override {
    seen.push_back("+" + std::to_string(bytes));
    return live_.emplace_back(std::pmr::new_delete_resource()->allocate(bytes, alignment));
  }
  void do_deallocate(void* at, std::size_t bytes, std::size_t alignment) override {
    const auto found = std::find(live_.begin(), live_.end(), at);
    seen.push_back("-" + std::to_string(found - live_.begin()));
    if (found != live_.end()) *found = nullptr;
    if (std::all_of(live_.begin(), live_.end(), [](void* p) { return p == nullptr; })) live_.clear();
    std::pmr::new_delete_resource()->deallocate(at, bytes, alignment);
  }
  [[nodiscard]] bool do_is_equal(const memory_resource& other) const noexcept override { return this == &other; }

  std::vector<void*> live_;  // by number, null when gone
};

/// Some memory, and how often it was verified.
template <class Memory>
class verified_subject final : public bench::subject {
 public:
  [[nodiscard]] std::pmr::memory_resource& memory() noexcept override { return resource; }
  void verify() const override { ++verified; }

  Memory resource;
  mutable int verified = 0;
};

TEST(Phases, GoAsDescribed) {
  verified_subject<watching> where;
  static_cast<void>(bench::measure_phases(where, 1, 1));
  const auto& seen = where.resource.seen;
  ASSERT_EQ(seen.size(), 2 * 2000U) << "one repetition to warm up and one that counts";
  for (std::size_t i = 0; i < 500; ++i) {
    EXPECT_EQ(seen.at(i), "+" + std::to_string(bench::phase_sizes()[i]));
    EXPECT_EQ(seen.at(750 + i), "+" + std::to_string(bench::phase_sizes()[500 + i]));
    EXPECT_EQ(seen.at(2000 + i), "+" + std::to_string(bench::phase_sizes()[1000 + i]));
  }
  for (std::size_t i = 0; i < 250; ++i) EXPECT_EQ(seen.at(500 + i), "-" + std::to_string(2 * i));
}

TEST(Phases, OfSeveralThreadsUseOneMemoryAndGiveEverythingBack) {
  verified_subject<strata::test::recording_resource> where;
  const auto figures = bench::measure_phases(where, 3, 5);
  ASSERT_EQ(figures.size(), 4U);
  for (const double figure : figures) EXPECT_GT(figure, 0);
  EXPECT_EQ(where.resource.live().blocks, 0U);
  EXPECT_EQ(where.resource.allocations() % 1000, 0U);
  EXPECT_GE(where.resource.allocations(), 3U * 2 * 1000) << "at least once to warm up and once that counts";
  EXPECT_GE(where.resource.smallest_request(), 1U);
  EXPECT_LE(where.resource.largest_request(), 512U);
  EXPECT_EQ(where.verified, 1);
}

TEST(Phases, AreThereForEveryNumberOfThreads) {
  const auto three = bench::mpbench_workloads(3);
  ASSERT_EQ(three.size(), 4U);
  for (unsigned i = 0; i < 3; ++i) {
    const std::string name = "mp" + std::to_string(i + 1);
    EXPECT_EQ(three[i]->name, name);
    EXPECT_EQ(three[i]->figures[0], name + "_alloc");
    EXPECT_EQ(three[i]->figures[3], name + "_slowest");
    EXPECT_EQ(three[i]->threads, i + 1);
    EXPECT_EQ(bench::find_workload(name), three[i]);
    verified_subject<strata::test::recording_resource> where;
    EXPECT_EQ(three[i]->measure(where, *three[i], 1).size(), 4U);
    EXPECT_GE(where.resource.allocations(), (i + 1) * 2000U);
  }
  EXPECT_STREQ(three[3]->name, "holes");
  EXPECT_EQ(bench::find_workload("mp0"), nullptr);
}

/// Is right until all threads are gone, or from the start.
template <int Right>
class wrong_subject final : public bench::subject {
 public:
  [[nodiscard]] std::pmr::memory_resource& memory() noexcept override { return *std::pmr::new_delete_resource(); }
  void verify() const override {
    if (++verified_ > Right) throw bench::wrong("one is two");
  }

 private:
  mutable int verified_ = 0;
};

template <int Right>
std::unique_ptr<bench::subject> open() {
  return std::make_unique<wrong_subject<Right>>();
}

TEST(Phases, HaveNoFiguresOfContendersWhoseBooksAreWrong) {
  for (const auto opener : {open<0>, open<1>}) {
    const bench::outcome result =
        bench::measure(*bench::find_workload("mp2"), {"wrong", "", false, true, opener}, 0.0001);
    EXPECT_EQ(result.what, kind::wrong);
    EXPECT_EQ(result.why, "one is two");
    EXPECT_TRUE(result.figures.empty());
  }
  EXPECT_EQ(bench::measure(*bench::find_workload("mp2"), {"right", "", false, true, open<2>}, 0.0001).what,
            kind::figures);
}

TEST(Measure, VerifiesAfterEveryLoad) {
  EXPECT_EQ(bench::measure(*bench::find_workload("pair_16"), {"wrong", "", false, true, open<0>}, 0.0001).what,
            kind::wrong);
}

}  // namespace
