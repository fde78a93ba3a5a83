// SPDX-License-Identifier: Apache-2.0
// Claims: every load takes its blocks from the memory it was given, in the sizes it names, gives each back as it was
// taken, and leaves nothing; its operations ask for as much as its description says. Live sets here are a hundredth of
// the real ones. What the three kinds of programs compute is the same in every memory and not nothing.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory_resource>
#include <string>
#include <vector>

#include "tests/support/recording_resource.h"

import bench;

namespace {

struct expectation {
  std::size_t live;      // blocks it sets up, of a live set of `scale`
  double per_operation;  // blocks it asks for
  std::size_t least;     // bytes a block
  std::size_t most;
};

constexpr std::size_t kAny = 1U << 30;

/// By name, for live sets of a hundredth.
const std::map<std::string, expectation> kExpected{
    {"pair_16", {0, 1, 16, 16}},
    {"pair_64", {0, 1, 64, 64}},
    {"pair_256", {0, 1, 256, 256}},
    {"pair_1024", {0, 1, 1024, 1024}},
    {"pair_32k", {0, 1, 32768, 32768}},
    {"pair_64_a64", {0, 1, 64, 64}},
    {"pair_4k_a4k", {0, 1, 4096, 4096}},
    {"batch10k_lifo", {0, 1, 64, 64}},
    {"batch10k_fifo", {0, 1, 64, 64}},
    {"batch10k_random", {0, 1, 64, 64}},
    {"batch1m_lifo", {0, 1, 64, 64}},
    {"batch1m_fifo", {0, 1, 64, 64}},
    {"batch1m_random", {0, 1, 64, 64}},
    {"churn_fixed64", {10'000, 1, 64, 64}},
    {"churn_small", {1'000, 1, 16, 1024}},
    {"churn_large", {50, 1, 16, 65536}},
    {"mt2_churn", {2 * 10, 1, 16, 1024}},
    {"mt16_churn", {16 * 10, 1, 16, 1024}},
    {"mt2_slots", {100, 1, 16, 1024}},
    {"prodcons_64", {0, 1, 64, 64}},
    {"prodcons_mix", {0, 1, 16, 1024}},
    {"list_queue", {1, 1, 24, 24}},
    {"list_build", {0, 1, 24, 24}},
    {"map_random", {10'000, 1, 48, 48}},
    {"umap_strings", {2 * 2'000, 4, 25, kAny}},  // nodes and texts, and two strings to look up with
    {"vector_strings", {0, 1, 25, kAny}},
    {"chase_1g", {1, 0, 10'000'000, 11'000'000}},
    {"reads_1g", {1, 0, 10'000'000, 11'000'000}},
    {"life_64", {100, 1, 64, 64}},
    {"server", {0, 5, 40, 4096}},
    {"utility", {0, 1.3, 32, kAny}},  // the lines, and the vectors that 20 lines outgrow
    {"tree", {0, 1, 32, 32}},
    {"churn", {1'000, 1, 16, 1024}},
};

std::vector<bench::workload> loads() {
  std::vector<bench::workload> result;
  for (const auto& among : {bench::workloads(), bench::shadow_workloads()}) {
    for (const bench::workload& w : among) {
      if (w.make != nullptr) result.push_back(w);
    }
  }
  return result;
}

class Loads : public testing::TestWithParam<bench::workload> {};

TEST_P(Loads, AskForWhatTheyDescribe) {
  ASSERT_TRUE(kExpected.contains(GetParam().name));
  const expectation& expected = kExpected.at(GetParam().name);
  strata::test::recording_resource memory;
  const auto load = GetParam().make(&memory, GetParam().live / 100);
  const std::size_t live = memory.live().blocks;
  EXPECT_GE(live, expected.live);
  EXPECT_LE(live, expected.live + 1) << "a hash map has an array besides";
  const std::size_t before = memory.allocations();
  const std::uint64_t done = load->run(1000);
  EXPECT_GE(done, 1000U);
  const double each = static_cast<double>(memory.allocations() - before) / static_cast<double>(done);
  EXPECT_NEAR(each, expected.per_operation, expected.per_operation / 50);
  EXPECT_EQ(memory.live().blocks, live);
  EXPECT_GE(memory.smallest_request(), expected.least);
  EXPECT_LE(memory.largest_request(), expected.most);
}  // the recorder reports what was not given back, or not as it was taken

INSTANTIATE_TEST_SUITE_P(All, Loads, testing::ValuesIn(loads()),
                         [](const auto& instance) { return std::string(instance.param.name); });

TEST(Programs, ComputeTheSameInEveryMemory) {
  strata::test::recording_resource recorded;
  const auto in_both = [&](auto&& make) {
    auto one = make(&recorded);
    auto other = make(std::pmr::new_delete_resource());
    std::uint64_t before = 0;
    for (int i = 0; i < 3; ++i) {
      EXPECT_EQ(one.run(100), other.run(100));
      EXPECT_EQ(one.checksum(), other.checksum());
      EXPECT_NE(one.checksum(), before);
      before = one.checksum();
    }
  };
  in_both([](std::pmr::memory_resource* memory) { return bench::server_load(memory); });
  in_both([](std::pmr::memory_resource* memory) { return bench::utility_load(memory, 50); });
  in_both([](std::pmr::memory_resource* memory) { return bench::tree_load(memory, 50); });
}

// A node has the number of nodes below it, itself included.
TEST(Programs, BuildWholeTrees) {
  bench::tree_load trees(std::pmr::new_delete_resource(), 3);
  trees.run(1);
  EXPECT_EQ(trees.checksum(), 3U + 1U + 1U);
  trees.run(1);
  EXPECT_EQ(trees.checksum(), 2U * 5U);
}

TEST(Batches, GoInTheOrderTheyName) {
  using order = bench::batch_load::order;
  for (const order in : {order::lifo, order::fifo, order::random}) {
    std::vector<void*> taken;
    std::vector<void*> returned;
    class watching final : public std::pmr::memory_resource {
     public:
      watching(std::vector<void*>& out, std::vector<void*>& back) : out_(out), back_(back) {}

     private:
      void* do_allocate(std::size_t bytes, std::size_t alignment) override {
        return out_.emplace_back(std::pmr::new_delete_resource()->allocate(bytes, alignment));
      }
      void do_deallocate(void* at, std::size_t bytes, std::size_t alignment) override {
        back_.push_back(at);
        std::pmr::new_delete_resource()->deallocate(at, bytes, alignment);
      }
      [[nodiscard]] bool do_is_equal(const memory_resource& other) const noexcept override { return this == &other; }
      std::vector<void*>& out_;
      std::vector<void*>& back_;
    } memory(taken, returned);
    bench::batch_load(&memory, 100, 64, in).run(1);
    if (in == order::lifo) std::reverse(returned.begin(), returned.end());
    EXPECT_EQ(taken == returned, in != order::random);
    EXPECT_TRUE(std::is_permutation(taken.begin(), taken.end(), returned.begin(), returned.end()));
  }
}

TEST(Pairs, RefuseMemoryThatDoesNotAlign) {
  class misaligning final : public std::pmr::memory_resource {
    void* do_allocate(std::size_t bytes, std::size_t) override {
      return static_cast<char*>(std::pmr::new_delete_resource()->allocate(bytes + 64, 64)) + 16;
    }
    void do_deallocate(void* at, std::size_t bytes, std::size_t) override {
      std::pmr::new_delete_resource()->deallocate(static_cast<char*>(at) - 16, bytes + 64, 64);
    }
    [[nodiscard]] bool do_is_equal(const memory_resource& other) const noexcept override { return this == &other; }
  } memory;
  EXPECT_THROW(bench::pair_load(&memory, 64, 64), bench::cannot);
  EXPECT_EQ(bench::pair_load(&memory, 64, 16).run(10), 10U);
}

}  // namespace
