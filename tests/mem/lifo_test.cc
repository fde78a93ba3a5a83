// SPDX-License-Identifier: Apache-2.0
// Claims: what was pushed last is popped first, chains and batches included; what is in cannot be pushed; the schedule of
// three threads that breaks an untagged stack (ABA) leaves this one whole, also when many are popped at once; many
// threads never own one number at once, see what the owner before wrote, and lose none; push and pop do the same work
// however many numbers are in; the form for one thread does the same.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <random>
#include <semaphore>
#include <thread>
#include <utility>
#include <vector>

import strata.mem;

namespace strata::mem {
namespace {

using number = lifo<>::number;

/// Link words of numbers 0 … n - 1, all out.
struct words {
  explicit words(std::size_t n) : links(n) {
    for (auto& link : links) link.store(lifo<>::taken, std::memory_order_relaxed);
  }
  lifo<>::link& operator()(number n) const { return links[n]; }
  mutable std::vector<lifo<>::link> links;
};

TEST(Lifo, PopsWhatWasPushedLast) {
  lifo<> stack;
  const words links(3);
  EXPECT_EQ(stack.pop(links), lifo<>::none);
  for (number n = 0; n < 3; ++n) EXPECT_TRUE(stack.push(links, n));
  for (number n = 3; n-- > 0;) EXPECT_EQ(stack.pop(links), n);
  EXPECT_EQ(stack.pop(links), lifo<>::none);
}

TEST(Lifo, PopsAChainFromItsFirst) {
  lifo<> stack;
  const words links(4);
  ASSERT_TRUE(stack.push(links, 3));
  links(0) = 1;
  links(1) = 2;
  stack.push_chain(links, 0, 2);
  for (number n = 0; n < 4; ++n) EXPECT_EQ(stack.pop(links), n);
}

TEST(Lifo, PopsSomeAtOnce) {
  lifo<> stack;
  const words links(5);
  number out[8] = {};
  EXPECT_EQ(stack.pop_some(links, out, 8), 0U);
  for (number n = 0; n < 5; ++n) ASSERT_TRUE(stack.push(links, n));
  ASSERT_EQ(stack.pop_some(links, out, 3), 3U);
  EXPECT_EQ(std::vector(out, out + 3), (std::vector<number>{4, 3, 2}));
  for (number n = 2; n < 5; ++n) EXPECT_EQ(links(n), lifo<>::idle);
  ASSERT_EQ(stack.pop_some(links, out, 8), 2U);
  EXPECT_EQ(std::vector(out, out + 2), (std::vector<number>{1, 0}));
  EXPECT_EQ(stack.pop(links), lifo<>::none);
}

TEST(Lifo, GivesAllAsAChain) {
  lifo<> stack;
  const words links(3);
  EXPECT_EQ(stack.take_all(), lifo<>::none);
  for (number n = 0; n < 3; ++n) ASSERT_TRUE(stack.push(links, n));
  EXPECT_EQ(stack.take_all(), 2U);
  EXPECT_EQ(links(2), 1U);
  EXPECT_EQ(links(1), 0U);
  EXPECT_EQ(links(0), lifo<>::none);
  EXPECT_EQ(stack.pop(links), lifo<>::none);
  stack.push_chain(links, 2, 0);
  EXPECT_EQ(stack.pop(links), 2U);
}

TEST(Lifo, ServesOneThreadTheSameWay) {
  lifo<unscheduled, threads::one> stack;
  const words links(4);
  for (number n = 0; n < 4; ++n) EXPECT_TRUE(stack.push(links, n));
  EXPECT_FALSE(stack.push(links, 0));
  EXPECT_EQ(stack.pop(links), 3U);
  number out[4] = {};
  EXPECT_EQ(stack.pop_some(links, out, 2), 2U);
  EXPECT_EQ(out[1], 1U);
  EXPECT_EQ(stack.take_all(), 0U);
  EXPECT_EQ(stack.pop(links), lifo<>::none);
}

TEST(Lifo, RefusesWhatIsIn) {
  lifo<> stack;
  const words links(2);
  ASSERT_TRUE(stack.push(links, 0));
  EXPECT_FALSE(stack.push(links, 0));  // at the bottom: its link is `none`
  ASSERT_TRUE(stack.push(links, 1));
  EXPECT_FALSE(stack.push(links, 0));
  EXPECT_FALSE(stack.push(links, 1));
  EXPECT_EQ(stack.pop(links), 1U);
  EXPECT_EQ(stack.pop(links), 0U);
  EXPECT_TRUE(stack.push(links, 0));
}

thread_local std::function<void()> at_exchange;

template <std::uint32_t TagStep>
struct scheduled {
  static constexpr std::uint32_t tag_step = TagStep;
  static void before_exchange() {
    if (at_exchange) at_exchange();
  }
};

/// 0 is on 1 is on 2. One thread pops and stops when it has read that 1 is below 0; a second takes 0 and 1 out; a third
/// puts 0 back, now on 2; the first goes on. Returns what the first got, then what is in: all but 1, which is out.
template <std::uint32_t TagStep>
std::vector<number> pops_after_schedule(std::size_t at_once = 1) {
  lifo<scheduled<TagStep>> stack;
  const words links(3);
  for (number n = 3; n-- > 0;) EXPECT_TRUE(stack.push(links, n));
  std::binary_semaphore has_read(0);
  std::binary_semaphore has_taken(0);
  std::binary_semaphore has_put(0);
  std::vector<number> popped;
  std::thread first([&] {
    bool stopped = false;
    at_exchange = [&] {
      if (std::exchange(stopped, true)) return;
      has_read.release();
      has_put.acquire();
    };
    popped.resize(at_once);
    popped.resize(stack.pop_some(links, popped.data(), at_once));
  });
  std::thread second([&] {
    has_read.acquire();
    EXPECT_EQ(stack.pop(links), 0U);
    EXPECT_EQ(stack.pop(links), 1U);
    has_taken.release();
  });
  std::thread third([&] {
    has_taken.acquire();
    EXPECT_TRUE(stack.push(links, 0));
    has_put.release();
  });
  first.join();
  second.join();
  third.join();
  popped.push_back(stack.pop(links));
  return popped;
}

TEST(Lifo, StaysWholeWhenTheTopCameBackMeanwhile) {
  EXPECT_EQ(pops_after_schedule<unscheduled::tag_step>(), (std::vector<number>{0, 2}));
}

TEST(Lifo, StaysWholeWhenSomeArePoppedAtOnce) {
  EXPECT_EQ(pops_after_schedule<unscheduled::tag_step>(2), (std::vector<number>{0, 2, lifo<>::none}));
}

TEST(Lifo, WouldBreakWithoutItsTag) {
  EXPECT_EQ(pops_after_schedule<0>(2), (std::vector<number>{0, 1, 2})) << "the schedule no longer shows ABA";
  EXPECT_EQ(pops_after_schedule<0>(), (std::vector<number>{0, 1})) << "the schedule no longer shows ABA";
}

TEST(Lifo, HasOneOwnerForANumber) {
  constexpr int threads = 4;
  constexpr int cycles = 20'000;
  constexpr number numbers = 32;
  lifo<> stack;
  const words links(numbers);
  std::vector<std::atomic<int>> owner(numbers);
  std::vector<std::size_t> written(numbers);  // plain: an owner must see what the one before wrote
  for (number n = 0; n < numbers; ++n) ASSERT_TRUE(stack.push(links, n));
  std::atomic<std::size_t> pops{0};
  std::vector<std::thread> crew;
  for (int t = 1; t <= threads; ++t) {
    crew.emplace_back([&, t] {
      std::mt19937 random(static_cast<unsigned>(t));
      std::vector<number> held;
      std::size_t mine = 0;
      for (int i = 0; i < cycles; ++i) {
        if (held.size() < 12 && (held.empty() || random() % 2 == 0)) {
          number got[3];
          const std::size_t count = stack.pop_some(links, got, 1 + random() % 3);
          for (std::size_t j = 0; j < count; ++j) {
            const number n = got[j];
            EXPECT_EQ(owner[n].exchange(t), 0) << n;
            ++written[n];
            ++mine;
            links(n) = lifo<>::taken;
            held.push_back(n);
          }
        } else {
          if (held.empty()) continue;
          std::swap(held[random() % held.size()], held.back());
          EXPECT_EQ(owner[held.back()].exchange(0), t);
          EXPECT_TRUE(stack.push(links, held.back()));
          held.pop_back();
        }
      }
      for (const number n : held) {
        owner[n] = 0;
        EXPECT_TRUE(stack.push(links, n));
      }
      pops += mine;
    });
  }
  for (std::thread& t : crew) t.join();
  std::vector<bool> seen(numbers);
  std::size_t total = 0;
  for (number i = 0; i < numbers; ++i) {
    const number n = stack.pop(links);
    ASSERT_LT(n, numbers);
    EXPECT_FALSE(seen[n]) << n;
    seen[n] = true;
    total += written[n];
  }
  EXPECT_EQ(stack.pop(links), lifo<>::none);
  EXPECT_EQ(total, pops.load());
}

/// Counts how often a link is looked up.
struct counted_words {
  const words& links;
  int& lookups;
  lifo<>::link& operator()(number n) const {
    ++lookups;
    return links(n);
  }
};

TEST(Lifo, DoesTheSameWorkHoweverManyAreIn) {
  for (const std::size_t n : {std::size_t{100}, std::size_t{1'000'000}}) {
    lifo<scheduled<1>> stack;
    const words links(n);
    for (number i = 0; i + 1 < n; ++i) links(i) = i + 1;
    stack.push_chain(links, 0, static_cast<number>(n - 1));
    int exchanges = 0;
    int lookups = 0;
    at_exchange = [&] { ++exchanges; };
    const number top = stack.pop(counted_words{links, lookups});
    EXPECT_TRUE(stack.push(counted_words{links, lookups}, top));
    at_exchange = nullptr;
    EXPECT_EQ(exchanges, 1) << n;
    EXPECT_EQ(lookups, 5) << n;  // a pop reads and marks twice, a push claims and links
  }
}

}  // namespace
}  // namespace strata::mem
