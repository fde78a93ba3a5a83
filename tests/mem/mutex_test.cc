// SPDX-License-Identifier: Apache-2.0
// Claims: locks exclude one another; adopted_lock releases; a child of fork finds locks free that another thread of the
// parent held; of two locks the one made later is taken first, so that forking agrees with threads that lock upper
// before lower.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <thread>
#include <vector>

import strata.mem;

namespace strata::mem {
namespace {

TEST(Mutex, ExcludesOthers) {
  mutex m;
  int counted = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 10'000; ++i) {
        const lock held(m);
        ++counted;
      }
    });
  }
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(counted, 40'000);
}

TEST(Mutex, AdoptedLockReleases) {
  mutex m;
  m.lock();
  {
    const adopted_lock held(m);
  }
  const bool free = m.try_lock();
  EXPECT_TRUE(free);
  if (free) m.unlock();
}

TEST(Mutex, AChildFindsLocksFreeThatThreadsOfTheParentTake) {
  mutex lower;
  mutex upper;
  EXPECT_FALSE(lower.unknown_to_fork().failed());
  std::atomic<bool> done{false};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      while (!done) {
        const lock first(upper);  // a fork that took them the other way round would deadlock with this
        const lock second(lower);
      }
    });
  }
  for (int i = 0; i < 100; ++i) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      const lock first(upper);
      const lock second(lower);
      ::_exit(0);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  }
  done = true;
  for (std::thread& t : threads) t.join();
}

}  // namespace
}  // namespace strata::mem
