// SPDX-License-Identifier: Apache-2.0
// Claims: a crew runs work in as many threads as it has, the same thread for the same number, and waits for all.
#include <gtest/gtest.h>

#include <cstddef>
#include <set>
#include <thread>
#include <vector>

import bench;

namespace {

TEST(Crew, RunsEachNumberInAThreadOfItsOwnAndWaits) {
  bench::crew crew(5);
  std::vector<std::thread::id> first(5);
  std::vector<std::thread::id> second(5);
  crew.run([&](std::size_t i) { first.at(i) = std::this_thread::get_id(); });
  crew.run([&](std::size_t i) { second.at(i) = std::this_thread::get_id(); });
  EXPECT_EQ(first, second);
  EXPECT_EQ(std::set(first.begin(), first.end()).size(), 5U);
  EXPECT_FALSE(std::set(first.begin(), first.end()).contains(std::this_thread::get_id()));
}

TEST(Crew, MayNeverWork) { EXPECT_EQ(bench::crew(3).size(), 3U); }

}  // namespace
