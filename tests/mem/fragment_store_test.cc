// SPDX-License-Identifier: Apache-2.0
// Claims: blocks come from the earliest region with room; every address is found in whichever region it lies; figures add
// up over all regions, and leave out those whose data is gone; a foreign pointer is none of any region; a child forked
// while threads were claiming and releasing has the bits of live blocks and no others, and can have all the rest.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <memory>
#include <thread>
#include <vector>

import strata.mem;

namespace strata::mem {
namespace {

constexpr std::size_t fragment = 256;
constexpr std::size_t page = 8192;

struct freed {
  void operator()(void* p) const { std::free(p); }
};

struct regions {
  void* add(std::size_t pages) {
    const fragment_shape shape{fragment, page, pages * (page / fragment)};
    memory.emplace_back(
        std::aligned_alloc(alignof(fragment_map), round_up(fragment_map::table_bytes(shape.count), 128)));
    void* const tables = memory.back().get();
    memory.emplace_back(std::aligned_alloc(page, pages * page));
    store.add(fragment_map::make(tables, memory.back().get(), shape));
    return memory.back().get();
  }
  std::vector<std::unique_ptr<void, freed>> memory;
  fragment_store store;
};

TEST(FragmentStore, ServesFromTheEarliestRegionWithRoom) {
  regions r;
  EXPECT_EQ(r.store.take(1, 1, 0).block, nullptr);
  void* const first = r.add(1);
  void* const second = r.add(4);
  EXPECT_EQ(r.store.take(32, 1, 5).block, first);
  EXPECT_EQ(r.store.take(64, 1, 6).block, second);
  EXPECT_EQ(r.store.take(65, 1, 6).claim.outcome, claim_outcome::full);
  EXPECT_EQ(r.store.find(at<char>(second, 9000)).start, second);
  EXPECT_EQ(r.store.find(at<char>(second, 9000)).tag, 6);
  EXPECT_EQ(r.store.count().data, 5 * page);
  EXPECT_EQ(r.store.count().free, 2 * page);
  EXPECT_EQ(r.store.longest_free(), 2 * page);
  int foreign = 0;
  EXPECT_EQ(r.store.put(&foreign, 0, 0), fragment_fault::foreign);
  EXPECT_EQ(r.store.put(first, 32, 5), fragment_fault::none);
  EXPECT_EQ(r.store.take(1, 1, 0).block, first);
  r.store.shrink(second, 1);
  EXPECT_EQ(r.store.find(at<char>(second, fragment)).start, nullptr);
  EXPECT_EQ(r.store.check(), nullptr);
}

TEST(FragmentStore, LeavesOutRegionsWithoutData) {
  regions r;
  r.add(1);
  r.add(2);
  ASSERT_NE(r.store.region(1).retire(), nullptr);
  EXPECT_EQ(r.store.count().data, page);
  EXPECT_EQ(r.store.take(33, 1, 0).block, nullptr);
  EXPECT_EQ(r.store.check(), nullptr);
}

TEST(FragmentStore, CountsWhatRestsAsFree) {
  regions r;
  r.add(1);
  r.add(2);
  ASSERT_TRUE(r.store.region(1).rest());
  EXPECT_EQ(r.store.count().data, 3 * page);
  EXPECT_EQ(r.store.count().free, 3 * page);
  EXPECT_EQ(r.store.longest_free(), 2 * page);
  EXPECT_EQ(r.store.take(33, 1, 0).block, nullptr);
  r.store.region(1).wake();
  EXPECT_NE(r.store.take(33, 1, 0).block, nullptr);
  EXPECT_EQ(r.store.check(), nullptr);
}

TEST(FragmentStore, IsWholeInAChildForkedInTheMiddle) {
  regions r;
  r.add(16);
  void* const mine = r.store.take(3, 1, 1).block;
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  for (int t = 0; t < 2; ++t) {
    threads.emplace_back([&, t] {
      while (!stop) {
        const fragment_map::taken one = r.store.take(t == 0 ? 100 : 2, 1, 0);
        if (one.block != nullptr) (void)r.store.put(one.block, 0, 0);
      }
    });
  }
  for (int i = 0; i < 300; ++i) {
    const pid_t child = fork();
    if (child == 0) {
      bool right = r.store.check() == nullptr && r.store.find(mine).start == mine;
      while (right && r.store.take(1, 1, 0).block != nullptr) {
      }
      // Full is full, although those who were on their way in the parent never arrive here.
      right = right && r.store.take(1, 1, 0).claim.outcome == claim_outcome::full && r.store.count().free == 0;
      _exit(right ? 0 : 1);
    }
    int status = -1;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_EQ(status, 0) << "fork " << i;
  }
  stop = true;
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(r.store.check(), nullptr);
}

}  // namespace
}  // namespace strata::mem
