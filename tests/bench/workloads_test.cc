// SPDX-License-Identifier: Apache-2.0
// Claims: every workload takes its blocks from the memory it was given, in the sizes it names, gives each back as it
// was taken, and leaves nothing; its operations ask for as much as its description says; every contender can serve it.
// Chance is the same in every run.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <memory_resource>
#include <string>
#include <vector>

#include "tests/support/recording_resource.h"

import bench;

namespace {

/// Counts requests and their extremes.
class counting final : public std::pmr::memory_resource {
 public:
  explicit counting(std::pmr::memory_resource* upstream) : upstream_(upstream) {}
  std::size_t requests = 0;
  std::size_t least = std::numeric_limits<std::size_t>::max();
  std::size_t most = 0;

 private:
  void* do_allocate(std::size_t bytes, std::size_t alignment) override {
    ++requests;
    least = std::min(least, bytes);
    most = std::max(most, bytes);
    return upstream_->allocate(bytes, alignment);
  }
  void do_deallocate(void* at, std::size_t bytes, std::size_t alignment) override {
    upstream_->deallocate(at, bytes, alignment);
  }
  [[nodiscard]] bool do_is_equal(const memory_resource& other) const noexcept override { return this == &other; }

  std::pmr::memory_resource* upstream_;
};

struct expectation {
  std::size_t live;   // blocks it sets up
  std::size_t least;  // bytes a block
  std::size_t most;
};

const std::map<std::string, expectation> kExpected{
    {"pair_16", {0, 16, 16}},
    {"pair_64", {0, 64, 64}},
    {"pair_256", {0, 256, 256}},
    {"pair_1024", {0, 1024, 1024}},
    {"pair_32k", {0, 32768, 32768}},
    {"churn_small", {100'000, 16, 1024}},
    {"churn_large", {5'000, 16, 65536}},
    {"list_queue", {100, 24, 24}},
    {"map_random", {250'000, 48, 48}},
};

class Workloads : public testing::TestWithParam<bench::workload> {};

TEST_P(Workloads, AskForWhatTheyDescribe) {
  const expectation& expected = kExpected.at(GetParam().name);
  strata::test::recording_resource recorder;
  counting memory(&recorder);
  const auto load = GetParam().make(&memory);
  EXPECT_EQ(recorder.live().blocks, expected.live);
  EXPECT_EQ(memory.requests, expected.live);
  load->run(1000);
  EXPECT_EQ(memory.requests, expected.live + 1000);
  EXPECT_EQ(recorder.live().blocks, expected.live);
  EXPECT_EQ(memory.least, expected.least);
  EXPECT_LE(memory.most, expected.most);
  EXPECT_GE(memory.most, expected.most - expected.most / 50) << "the largest are rare, and need not come up";
}  // the recorder reports what was not given back

TEST_P(Workloads, AreServedByEveryContender) {
  for (const bench::contender& who : bench::contenders()) {
    std::size_t requests = 0;
    who.run([&](std::pmr::memory_resource& resource) {
      counting memory(&resource);
      const auto load = GetParam().make(&memory);
      load->run(100);
      requests = memory.requests;
    });
    EXPECT_EQ(requests, kExpected.at(GetParam().name).live + 100) << who.name;
  }
}

INSTANTIATE_TEST_SUITE_P(Short, Workloads,
                         testing::ValuesIn(bench::short_workloads().begin(), bench::short_workloads().end()),
                         [](const auto& instance) { return std::string(instance.param.name); });

TEST(RandomNumbers, AreTheSameInEveryRunAndSpreadEvenly) {
  bench::random_numbers a(7);
  bench::random_numbers b(7);
  std::vector<int> hits(10);
  for (int i = 0; i < 100'000; ++i) {
    const std::size_t number = a.below(10);
    ASSERT_EQ(number, b.below(10));
    ++hits.at(number);
  }
  for (const int hit : hits) {
    EXPECT_GT(hit, 9'500);
    EXPECT_LT(hit, 10'500);
  }
}

TEST(LogUniformSizes, GiveEachDoublingTheSameShare) {
  const bench::log_uniform_sizes sizes(16, 1024);
  bench::random_numbers random(7);
  std::vector<int> hits(6);
  for (int i = 0; i < 60'000; ++i) {
    const std::size_t bytes = sizes.pick(random);
    std::size_t doubling = 0;
    while (doubling < 5 && bytes >= std::size_t{32} << doubling) ++doubling;
    ++hits[doubling];
  }
  for (const int hit : hits) {
    EXPECT_GT(hit, 9'000);
    EXPECT_LT(hit, 11'000);
  }
}

}  // namespace
