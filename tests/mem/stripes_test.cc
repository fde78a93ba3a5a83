// SPDX-License-Identifier: Apache-2.0
// Claims: a thread finds the same stripe each time, and what it left there; stripes lie on lines of their own; several
// threads do not all share one; a visitor sees all that threads added, also after their end.
#include <gtest/gtest.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <set>
#include <thread>
#include <vector>

import strata.mem;

namespace strata::mem {
namespace {

using counters = stripes<std::atomic<std::size_t>>;

TEST(Stripes, AreTheSameForAThreadEachTime) {
  counters all;
  std::atomic<std::size_t>* const mine = &all.mine();
  mine->fetch_add(3);
  EXPECT_EQ(&all.mine(), mine);
  EXPECT_EQ(all.mine().load(), 3U);
}

TEST(Stripes, LieOnLinesOfTheirOwn) {
  counters all;
  std::vector<std::uintptr_t> places;
  all.visit([&](const std::atomic<std::size_t>& one) { places.push_back(address(&one)); });
  ASSERT_EQ(places.size(), 16U);
  for (std::size_t i = 0; i < places.size(); ++i) EXPECT_EQ(places[i] / 128, places[0] / 128 + i);
}

TEST(Stripes, AreSharedBySomeThreadsNotByAll) {
  counters all;
  std::vector<const void*> seen(32);
  std::atomic<std::size_t> there{0};
  std::vector<std::thread> threads;
  for (auto& place : seen) {
    threads.emplace_back([&] {
      all.mine().fetch_add(1);
      place = &all.mine();
      ++there;
      while (there.load() < seen.size())
        std::this_thread::yield();  // threads that live at once have addresses of their own
    });
  }
  for (std::thread& t : threads) t.join();
  EXPECT_GT(std::set(seen.begin(), seen.end()).size(), 4U);
  std::size_t sum = 0;
  all.visit([&](const std::atomic<std::size_t>& one) { sum += one.load(); });
  EXPECT_EQ(sum, seen.size());
}

}  // namespace
}  // namespace strata::mem
