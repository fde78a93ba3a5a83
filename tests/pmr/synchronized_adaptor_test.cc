// SPDX-License-Identifier: Apache-2.0
// Claims beyond conformance: threads never meet in the upstream; report and check may be asked for while threads work;
// with_upstream works under the lock; a call that found the lock taken is counted; children of forks made while threads
// allocate can allocate and deallocate.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <cstdio>
#include <memory_resource>
#include <thread>
#include <vector>

import strata.pmr;

namespace strata::pmr {
namespace {

// Notices two threads at once.
class door final : public std::pmr::memory_resource {
 public:
  std::atomic<int> inside{0};
  std::atomic<bool> met{false};

 private:
  void* do_allocate(std::size_t bytes, std::size_t alignment) override {
    if (inside.fetch_add(1) != 0) met = true;
    void* const p = std::pmr::new_delete_resource()->allocate(bytes, alignment);
    inside.fetch_sub(1);
    return p;
  }
  void do_deallocate(void* p, std::size_t bytes, std::size_t alignment) override {
    if (inside.fetch_add(1) != 0) met = true;
    std::pmr::new_delete_resource()->deallocate(p, bytes, alignment);
    inside.fetch_sub(1);
  }
  [[nodiscard]] bool do_is_equal(const std::pmr::memory_resource& other) const noexcept override {
    return this == &other;
  }
};

TEST(SynchronizedAdaptor, ThreadsNeverMeetInTheUpstream) {
  door upstream;
  synchronized_adaptor memory(&upstream);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&memory] {
      for (int i = 0; i < 5'000; ++i) memory.deallocate(memory.allocate(64), 64);
    });
  }
  for (std::thread& t : threads) t.join();
  EXPECT_FALSE(upstream.met);
  EXPECT_EQ(memory.stats().allocations, 20'000U);
  EXPECT_EQ(memory.stats().live, 0U);
}

TEST(SynchronizedAdaptor, CountsCallsThatFoundTheLockTaken) {
  synchronized_adaptor memory(std::pmr::new_delete_resource());
  for (int i = 0; i < 100; ++i) memory.deallocate(memory.allocate(1), 1);
  EXPECT_EQ(memory.contentions(), 0U) << "one thread alone meets nobody";
  std::atomic<bool> done{false};
  std::thread other([&] {
    while (!done) memory.deallocate(memory.allocate(1), 1);
  });
  // Reading the count takes the lock too, so sooner or later the other thread finds it taken.
  while (memory.contentions() == 0) std::this_thread::yield();
  done = true;
  other.join();
  EXPECT_LE(memory.contentions(), 2 * memory.stats().allocations);
}

TEST(SynchronizedAdaptor, ReportsAndChecksWhileThreadsWork) {
  stack memory{pages{}, heap{}, synchronized{}};
  std::atomic<bool> done{false};
  std::vector<std::thread> threads;
  for (int t = 0; t < 2; ++t) {
    threads.emplace_back([&] {
      while (!done) memory.deallocate(memory.allocate(100), 100);
    });
  }
  std::FILE* const nowhere = std::fopen("/dev/null", "w");
  for (int i = 0; i < 200; ++i) {
    EXPECT_FALSE(memory.check().found());
    memory.write_report(nowhere);
    report rows;
    memory.collect(rows);
    EXPECT_EQ(rows.rows()[1].figures.live, rows.rows()[2].figures.live) << "one moment for all layers below the lock";
  }
  std::fclose(nowhere);
  done = true;
  for (std::thread& t : threads) t.join();
}

TEST(SynchronizedAdaptor, WorksOnTheUpstreamUnderTheLock) {
  stack memory{pages{}, heap{.keep_empty = 1 << 20}, synchronized{}};
  memory.deallocate(memory.allocate(100), 100);
  EXPECT_GT(memory.top().with_upstream([](auto& below) { return below.trim(); }), 0U);
  EXPECT_EQ(memory.stats().upstream, 0U);
}

// Children die in _exit and say by their status that they could allocate. A hang would be the test's own time limit.
TEST(SynchronizedAdaptor, ChildrenOfAForkCanAllocateWhileThreadsOfTheParentDid) {
  stack memory{pages{}, heap{}, synchronized{}};
  std::atomic<bool> done{false};
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&] {
      while (!done) memory.deallocate(memory.allocate(100), 100);
    });
  }
  for (int i = 0; i < 50; ++i) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      void* const p = memory.allocate(100'000);
      memory.deallocate(p, 100'000);
      ::_exit(memory.check().found() ? 1 : 0);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "child " << i;
  }
  done = true;
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(memory.stats().live, 0U);
  EXPECT_FALSE(memory.check().found());
}

}  // namespace
}  // namespace strata::pmr
