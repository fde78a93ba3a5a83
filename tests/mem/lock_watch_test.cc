// SPDX-License-Identifier: Apache-2.0
// Claims: in a checked build a lock taken out of the written order, twice, or by fork() under itself, one destroyed while
// held or released by a thread that does not hold it, and one held while the program is called, are each said by name
// before anything hangs; what is in order is silent: ranks, age, try_lock() in any order, locks released in any order,
// more locks than a thread's note has room for, and a lock that is meant to be held over upstream. In another build a
// watch has no size.
#include <gtest/gtest.h>
#include <unistd.h>

#include <deque>
#include <optional>
#include <string>
#include <thread>
#include <type_traits>

import strata.mem;

namespace strata::mem {
namespace {

// What the analysis at compile time would not let a test do.
template <class Lock>
[[clang::no_thread_safety_analysis]] void take(Lock& m) {
  m.lock();
}
template <class Lock>
[[clang::no_thread_safety_analysis]] void give(Lock& m) {
  m.unlock();
}

TEST(LockWatch, HasNoSizeWhereNothingIsChecked) {
  EXPECT_EQ(std::is_empty_v<lock_watch>, !checked);
  EXPECT_TRUE(std::is_empty_v<lock_watch_none>);
}

TEST(LockWatch, IsSilentInTheWrittenOrder) {
  mutex lowest(lock_rank::loans, "lowest");
  mutex lower("lower");
  mutex upper("upper");
  mutex highest(lock_rank::registry, "highest");
  const lock first(highest);
  const lock second(upper);
  const lock third(lower);
  const lock fourth(lowest);
}

// It is younger than layers that come to it with their locks.
TEST(LockWatch, WhatIsMadeOnFirstUseHasARankOfItsOwn) {
  mutex layers("of a layer");
  mutex over(lock_rank::over_upstream, "over a layer", lock_reach::upstream);
  const lock first(over);
  EXPECT_NE(take_thread_number(), 0U);
  const lock second(layers);
  int block = 0;
  EXPECT_FALSE(lock_ledger::of_process().unlock(&block, sizeof block));
}

TEST(LockWatch, LocksMayBeReleasedInAnyOrder) {
  mutex lower("lower");
  mutex upper("upper");
  std::optional<lock<mutex>> first(std::in_place, upper);
  std::optional<lock<mutex>> second(std::in_place, lower);
  first.reset();
  second.reset();
  const lock again(upper);
}

TEST(LockWatch, WhoDoesNotWaitMayTryInAnyOrder) {
  mutex lower("lower");
  mutex upper("upper");
  const lock held(lower);
  const bool taken = upper.try_lock();
  EXPECT_TRUE(taken);
  if (taken) upper.unlock();
}

// Fewer at once than ThreadSanitizer can follow, more than the note holds.
TEST(LockWatch, AThreadMayHoldMoreThanItsNoteHas) {
  std::deque<mutex> many(60);
  for (auto m = many.rbegin(); m != many.rend(); ++m) take(*m);
  for (mutex& m : many) give(m);
  for (auto m = many.rbegin(); m != many.rend(); ++m) take(*m);
  for (auto m = many.rbegin(); m != many.rend(); ++m) give(*m);
}

TEST(LockWatch, AThreadsNotesAreItsOwn) {
  mutex lower("lower");
  mutex upper("upper");
  const lock held(lower);
  std::thread([&] { const lock other(upper); }).join();
}

TEST(LockWatch, ALockThatIsHeldOverUpstreamMayBe) {
  expect_no_lock_held("upstream");
  mutex over("over", lock_reach::upstream);
  const lock held(over);
  expect_no_lock_held("upstream");
}

class LockWatchDeathTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!checked) GTEST_SKIP() << "this build is not checked";
  }
};

// All locks are taken in the child: the test forks.
TEST_F(LockWatchDeathTest, ALowerRankHeldIsSaidByName) {
  const auto lock_upwards = [] {
    mutex high(lock_rank::registry, "high");
    mutex low(lock_rank::layer, "low");
    const lock held(low);
    take(high);
  };
  EXPECT_DEATH(
      lock_upwards(),
      "strata: lock \"high\" \\(rank 1000, number [0-9]+\\) taken out of order, with \"low\" \\(rank 0, number "
      "[0-9]+\\) held");
}

TEST_F(LockWatchDeathTest, AnOlderOneOfTheSameRankHeldIsSaidByName) {
  const auto lock_upwards = [] {
    mutex older("older");
    mutex younger("younger");
    const lock held(older);
    take(younger);
  };
  EXPECT_DEATH(lock_upwards(), "strata: lock \"younger\" .* taken out of order, with \"older\" .* held");
}

TEST_F(LockWatchDeathTest, TakenTwiceDoesNotHang) {
  const auto take_twice = [] {
    mutex m("twice");
    const lock held(m);
    take(m);
  };
  EXPECT_DEATH(take_twice(), "strata: lock \"twice\" .* taken twice by one thread");
}

TEST_F(LockWatchDeathTest, ForkUnderALockDoesNotHang) {
  const auto fork_under = [] {
    mutex m("round");
    const lock held(m);
    ::_exit(::fork() < 0 ? 1 : 0);
  };
  EXPECT_DEATH(fork_under(), "strata: fork\\(\\) under lock \"round\"");
}

TEST_F(LockWatchDeathTest, DestroyedWhileHeld) {
  const auto destroy = [] {
    std::optional<mutex> m(std::in_place, "gone");
    take(*m);
    m.reset();
  };
  EXPECT_DEATH(destroy(), "strata: lock \"gone\" .* destroyed while it is held");
}

TEST_F(LockWatchDeathTest, ReleasedByAnother) {
  const auto release = [] {
    mutex m("mine");
    take(m);
    std::thread([&] { give(m); }).join();
  };
  EXPECT_DEATH(release(), "strata: lock \"mine\" .* released by a thread that does not hold it");
}

TEST_F(LockWatchDeathTest, HeldWhileTheProgramIsCalled) {
  const auto call = [] {
    mutex m("private");
    const lock held(m);
    expect_no_lock_held("a handler");
  };
  EXPECT_DEATH(call(), "strata: lock \"private\" .* held while a handler is called");
}

TEST_F(LockWatchDeathTest, ASmallLockTakenTwice) {
  const auto take_twice = [] {
    small_mutex m;
    take(m);
    take(m);
  };
  const auto call = [] {
    small_mutex m;
    take(m);
    expect_no_lock_held("a handler");
  };
  const auto release = [] {
    small_mutex m;
    give(m);
  };
  EXPECT_DEATH(take_twice(), "strata: a small lock taken twice by one thread");
  EXPECT_DEATH(call(), "strata: a small lock held while a handler is called");
  EXPECT_DEATH(release(), "strata: a small lock released by a thread that does not hold it");
}

}  // namespace
}  // namespace strata::mem
