// SPDX-License-Identifier: Apache-2.0
// Claims: of many caches the idle ones are taken, all by one barrier; one that is empty, one whose lock somebody has, and one
// in the middle of a call are left as they are, and so are all where there is no barrier. None is asked for when there is
// nothing to take. Afterwards no lock is held.
#include <gtest/gtest.h>

#include <cerrno>
#include <cstddef>
#include <deque>
#include <mutex>
#include <vector>

#include "tests/os_script/os_script.h"

import strata.mem;

namespace strata::mem {
namespace {

/// A cache whose slots are only a number.
struct counted_cache {
  cache_books books;
  std::size_t inside = 0;
  bool closed = false;
  counted_cache* next_closed = nullptr;

  void fill(std::size_t slots) {
    books.moved_in(slots);
    inside += slots;
  }
  [[nodiscard]] bool close() noexcept {
    closed = inside != 0;
    return closed;
  }
  [[nodiscard]] bool judge(bool passed) noexcept {
    closed = passed && books.agree_with(inside);
    return closed;
  }
  [[nodiscard]] bool is_unlocked() { return std::unique_lock(books.lock, std::try_to_lock).owns_lock(); }
};

struct ClosedCaches : testing::Test {
  std::deque<counted_cache> caches = std::deque<counted_cache>(5);
  closed_caches<counted_cache> closed;
  std::vector<std::size_t> taken;

  void take_all() {
    for (counted_cache& each : caches) closed.add(each);
    closed.settle([&](counted_cache& each) { taken.push_back(each.inside); });
  }
};

TEST_F(ClosedCaches, AreTakenWhenTheirThreadsAreAtNothing) {
  for (std::size_t i = 0; i < 4; ++i) caches[i].fill(i + 1);  // the last stays empty
  caches[1].books.going_out(8);
  test::os_script script;
  {
    const lock in_use(caches[2].books.lock);
    take_all();
  }
  EXPECT_EQ(taken, (std::vector<std::size_t>{4, 1}));
  EXPECT_LE(script.calls(test::os_call::membarrier), 3U) << "one for all, and leave to ask for it";
  for (std::size_t i = 0; i < caches.size(); ++i) {
    EXPECT_EQ(caches[i].closed, i == 0 || i == 3) << i;
    EXPECT_TRUE(caches[i].is_unlocked()) << i;
  }
}

TEST_F(ClosedCaches, AreLeftAloneWhereThereIsNoBarrier) {
  for (counted_cache& each : caches) each.fill(1);
  test::os_script script;
  script.fail_always(test::os_call::membarrier, ENOSYS);
  take_all();
  EXPECT_TRUE(taken.empty());
  for (counted_cache& each : caches) {
    EXPECT_FALSE(each.closed);
    EXPECT_TRUE(each.is_unlocked());
  }
}

TEST_F(ClosedCaches, AskForNoBarrierForNothing) {
  test::os_script script;
  take_all();
  EXPECT_EQ(script.calls(test::os_call::membarrier), 0U);
}

}  // namespace
}  // namespace strata::mem
