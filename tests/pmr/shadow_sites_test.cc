// SPDX-License-Identifier: Apache-2.0
// Claims: what a report says of who allocated and who deallocated is the thread that did and where it was, at the depth
// asked for; two threads at one place are told apart; with depth 0 the thread alone is known.
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <memory_resource>
#include <thread>
#include <vector>

import strata.pmr;

namespace strata::pmr {
namespace {

struct seen {
  std::uint32_t thread = 0;
  std::size_t depth = 0;
};
thread_local std::vector<seen> sites;

void remember(const misuse& what) {
  for (const block_trace& block : what.blocks) {
    sites.push_back({block.allocated.thread, block.allocated.stack.size()});
    sites.push_back({block.freed.thread, block.freed.stack.size()});
  }
}

void free_twice(std::size_t depth) {
  stack memory(pages{}, slabs{}, shadow{.stack_depth = depth});
  void* p = nullptr;
  std::uint32_t other = 0;
  std::thread([&] {
    p = memory.allocate(10, 1);
    other = this_thread_serial();
  }).join();
  memory.deallocate(p, 10, 1);
  set_misuse_handler(&remember);
  sites.clear();
  memory.deallocate(p, 10, 1);
  set_misuse_handler(nullptr);
  ASSERT_EQ(sites.size(), 2U);
  EXPECT_EQ(sites[0].thread, other);
  EXPECT_EQ(sites[1].thread, this_thread_serial());
  EXPECT_LE(sites[0].depth, depth);
  EXPECT_LE(sites[1].depth, depth);
  EXPECT_EQ(sites[1].depth == 0, depth == 0);
}

TEST(ShadowSites, NameTheThreadAndThePlace) { free_twice(8); }
TEST(ShadowSites, KeepToTheirDepth) { free_twice(2); }
TEST(ShadowSites, NameTheThreadAlone) { free_twice(0); }

}  // namespace
}  // namespace strata::pmr
