// SPDX-License-Identifier: Apache-2.0
// Claims: one thread at a time grows; who looked before another grew looks again; who waits learns how it ended, even
// when the next episode has begun; a child forked in the middle of an episode finds it ended.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <thread>
#include <vector>

import strata.mem;

namespace strata::mem {
namespace {

TEST(Growth, IsOneThreadsTurn) {
  growth g;
  const auto seen = g.now();
  EXPECT_FALSE(growth::under_way(seen));
  EXPECT_TRUE(g.begin(seen));
  EXPECT_TRUE(growth::under_way(g.now()));
  EXPECT_FALSE(g.begin(seen));
  g.end(true);
  EXPECT_FALSE(growth::under_way(g.now()));
}

TEST(Growth, DoesNotBeginOnAnEmptinessThatHasPassed) {
  growth g;
  const auto seen = g.now();
  ASSERT_TRUE(g.begin(seen));
  g.end(true);
  EXPECT_FALSE(g.begin(seen));
  EXPECT_TRUE(g.begin(g.now()));
  g.end(true);
}

TEST(Growth, SharesItsOutcomeWithAllWhoWait) {
  for (const bool succeeds : {true, false, true}) {
    growth g;
    ASSERT_TRUE(g.begin(g.now()));
    const auto seen = g.now();
    std::atomic<int> agreed{0};
    std::vector<std::thread> crew;
    for (int t = 0; t < 4; ++t) {
      crew.emplace_back([&] { agreed += g.wait(seen) == succeeds ? 1 : 0; });
    }
    while (g.waiting() != 4) std::this_thread::yield();
    g.end(succeeds);
    for (std::thread& t : crew) t.join();
    EXPECT_EQ(agreed, 4);
    EXPECT_EQ(g.waiting(), 0U);
  }
}

TEST(Growth, TellsTheOutcomeWhileTheNextEpisodeIsUnderWay) {
  growth g;
  ASSERT_TRUE(g.begin(g.now()));
  const auto seen = g.now();
  g.end(false);
  ASSERT_TRUE(g.begin(g.now()));
  EXPECT_FALSE(g.wait(seen));
  const auto next = g.now();
  g.end(true);
  EXPECT_TRUE(g.wait(next));
}

TEST(Growth, HasEndedInAChild) {
  growth g;
  EXPECT_FALSE(g.unknown_to_fork().failed());
  ASSERT_TRUE(g.begin(g.now()));
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) ::_exit(!growth::under_way(g.now()) && g.begin(g.now()) ? 0 : 1);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  EXPECT_TRUE(growth::under_way(g.now()));
  g.end(true);
}

}  // namespace
}  // namespace strata::mem
