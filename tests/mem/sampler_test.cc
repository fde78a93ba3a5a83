// SPDX-License-Identifier: Apache-2.0
// Claims: one in one is all; one in N is N on average, with gaps from 1 to 2 N - 1 of about the same number each; threads
// draw as often as one; it can be made rarer, up to a bound.
#include <gtest/gtest.h>

#include <atomic>
#include <cstddef>
#include <memory>
#include <thread>
#include <vector>

import strata.mem;

namespace strata::mem {
namespace {

TEST(Sampler, OneInOneIsAll) {
  const auto all = std::make_unique<sampler<threads::any>>(1);
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(all->draws());
}

template <class Sampler>
void expect_even_gaps(Sampler& one, std::size_t n) {
  constexpr std::size_t draws = 40'000;
  std::vector<std::size_t> seen(2 * n, 0);
  std::size_t total = 0;
  while (!one.draws()) {
  }
  for (std::size_t i = 0; i < draws; ++i) {
    std::size_t gap = 1;
    while (!one.draws()) ++gap;
    ASSERT_LT(gap, 2 * n);
    ++seen[gap];
    total += gap;
  }
  const double mean = static_cast<double>(total) / draws;
  EXPECT_NEAR(mean, static_cast<double>(n), 0.05 * static_cast<double>(n));
  const double each = static_cast<double>(draws) / static_cast<double>(2 * n - 1);
  for (std::size_t gap = 1; gap < 2 * n; ++gap) EXPECT_NEAR(static_cast<double>(seen[gap]), each, 0.2 * each) << gap;
}

TEST(Sampler, DrawsEveryGapAsOften) {
  const auto one = std::make_unique<sampler<threads::one>>(10);
  expect_even_gaps(*one, 10);
  const auto any = std::make_unique<sampler<threads::any>>(7);
  expect_even_gaps(*any, 7);
}

TEST(Sampler, ThreadsDrawAsOftenAsOne) {
  const auto one = std::make_unique<sampler<threads::any>>(100);
  std::atomic<std::size_t> drawn{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 250'000; ++i) drawn += one->draws() ? 1 : 0;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_NEAR(static_cast<double>(drawn), 10'000, 1'500);
}

TEST(Sampler, CanBeMadeRarer) {
  const auto some = std::make_unique<sampler<threads::any>>(1);
  some->make_rarer();
  some->make_rarer();
  EXPECT_EQ(some->one_in(), 4U);
  int drawn = 0;
  for (int i = 0; i < 40'000; ++i) drawn += some->draws() ? 1 : 0;
  EXPECT_NEAR(drawn, 10'000, 500);
  for (int i = 0; i < 40; ++i) some->make_rarer();
  EXPECT_EQ(some->one_in(), sampler<threads::any>::rarest);
}

TEST(Sampler, NeverAsksForMoreThanItCanCount) {
  const auto rare = std::make_unique<sampler<threads::one>>(SIZE_MAX);
  EXPECT_EQ(rare->one_in(), sampler<threads::one>::rarest);
  EXPECT_FALSE(rare->draws() && rare->draws());
}

}  // namespace
}  // namespace strata::mem
