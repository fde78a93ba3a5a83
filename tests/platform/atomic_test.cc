// SPDX-License-Identifier: Apache-2.0
// Claims, of each back end: single-threaded, every operation does what it says, for each kind of value; no update is
// lost among threads; what was written before a release is seen after the acquire that sees it (also by
// ThreadSanitizer); a lock made of replace() and store() excludes; a stack made of replace() loses and doubles nothing.
// White box: both back ends declare the same partition, so the test is a unit of it, built with the one and the other.
module;
#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <thread>
#include <type_traits>
#include <vector>

module strata.platform:atomic.test;

import :atomic;

namespace strata::platform {
namespace {

constexpr unsigned kThreads = 4;
constexpr unsigned kRounds = 20'000;

template <typename Body>
void in_threads(const Body& body) {
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < kThreads; ++i) threads.emplace_back([&body, i] { body(i); });
  for (std::thread& t : threads) t.join();
}

template <typename T>
class AtomicInteger : public testing::Test {};
using Integers = testing::Types<std::uint32_t, std::uint64_t>;
TYPED_TEST_SUITE(AtomicInteger, Integers);

TYPED_TEST(AtomicInteger, DoesWhatItSays) {
  using T = TypeParam;
  atomic_word<T> word(5);
  EXPECT_EQ(word.load(), T{5});
  word.store(7);
  EXPECT_EQ(word.swap(9), T{7});
  T expected = 8;
  EXPECT_FALSE(word.replace(expected, 1));
  EXPECT_EQ(expected, T{9}) << "what it holds is told";
  EXPECT_TRUE(word.replace(expected, 1));
  EXPECT_EQ(expected, T{9}) << "and kept when it was replaced";
  EXPECT_EQ(word.add(2), T{3}) << "the value afterwards";
  EXPECT_EQ(word.add(static_cast<T>(-4)), static_cast<T>(-1)) << "wraps round";
  EXPECT_EQ(word.add(1), T{0});
  EXPECT_EQ(atomic_word<T>().load(), T{0});
}

TYPED_TEST(AtomicInteger, ChangesNothingBesideItself) {
  using T = TypeParam;
  struct {
    T before = static_cast<T>(-1);
    atomic_word<T> word{0};
    T after = static_cast<T>(-1);
  } three;
  static_assert(sizeof(three) == 3 * sizeof(T));
  three.word.store(static_cast<T>(-1));
  three.word.swap(1);
  T expected = 1;
  three.word.replace(expected, static_cast<T>(-1));
  three.word.add(1);
  EXPECT_EQ(three.before, static_cast<T>(-1));
  EXPECT_EQ(three.word.load(), T{0});
  EXPECT_EQ(three.after, static_cast<T>(-1));
}

TYPED_TEST(AtomicInteger, LosesNoUpdate) {
  using T = TypeParam;
  atomic_word<T> added(0);
  atomic_word<T> replaced(0);
  atomic_word<T> drawn(0);
  std::array<std::uint64_t, kThreads> seen{};
  in_threads([&](unsigned i) {
    for (unsigned round = 0; round < kRounds; ++round) {
      added.add(3);
      for (T old = replaced.load(); !replaced.replace(old, old + 1);) {
      }
      seen[i] += drawn.swap(1 + i);
    }
  });
  EXPECT_EQ(added.load(), T{3 * kThreads * kRounds});
  EXPECT_EQ(replaced.load(), T{kThreads * kRounds});
  // Every value that was put in by a swap comes out by exactly one, the last but by none.
  std::uint64_t out = drawn.load();
  std::uint64_t in = 0;
  for (unsigned i = 0; i < kThreads; ++i) {
    out += seen[i];
    in += std::uint64_t{kRounds} * (1 + i);
  }
  EXPECT_EQ(out, in);
}

TEST(AtomicPointer, DoesWhatItSays) {
  int things[3] = {};
  atomic_word<int*> word;
  EXPECT_EQ(word.load(), nullptr);
  word.store(&things[0]);
  EXPECT_EQ(word.swap(&things[1]), &things[0]);
  int* expected = nullptr;
  EXPECT_FALSE(word.replace(expected, &things[2]));
  EXPECT_EQ(expected, &things[1]);
  EXPECT_TRUE(word.replace(expected, &things[2]));
  EXPECT_EQ(word.load(), &things[2]);
  atomic_word<const int*> constant(&things[0]);
  EXPECT_EQ(constant.swap(nullptr), &things[0]);
  static_assert(sizeof(word) == sizeof(int*));
}

TEST(Atomic, HoldsOnlyWhatEveryBackEndCan) {
  static_assert(atomic_value<std::uint32_t> && atomic_value<std::uint64_t> && atomic_value<void*>);
  static_assert(!atomic_value<std::uint16_t> && !atomic_value<bool> && !atomic_value<void (*)()>);
  struct pair {
    void* pointer;
    std::uint64_t tag;
  };
  static_assert(!atomic_value<pair>, "no back end changes 16 bytes at once");
}

TEST(Atomic, WhatIsWrittenBeforeAStoreIsSeenAfterTheLoadThatSeesIt) {
  struct message {
    std::uint64_t text[4];
  };
  std::vector<message> sent(kRounds);
  atomic_word<std::uint64_t> published(0);
  std::thread writer([&] {
    for (std::uint64_t i = 0; i < kRounds; ++i) {
      for (std::uint64_t& word : sent[i].text) word = i + 1;
      published.store(i + 1);
    }
  });
  std::uint64_t wrong = 0;
  for (std::uint64_t known = 0; known < kRounds;) {
    const std::uint64_t now = published.load();
    for (; known < now; ++known) {
      for (const std::uint64_t word : sent[known].text) wrong += word != known + 1 ? 1U : 0U;
    }
  }
  writer.join();
  EXPECT_EQ(wrong, 0U);
}

TEST(Atomic, ALockOfReplaceAndStoreExcludes) {
  atomic_word<std::uint32_t> taken(0);
  std::uint64_t plain = 0;
  in_threads([&](unsigned) {
    for (unsigned round = 0; round < kRounds / 4; ++round) {
      for (std::uint32_t free = 0; !taken.replace(free, 1); free = 0) std::this_thread::yield();
      ++plain;
      taken.store(0);
    }
  });
  EXPECT_EQ(plain, std::uint64_t{kThreads} * (kRounds / 4));
}

// Nodes are pushed one at a time and taken off all at once, so that none is met twice by a replace() that compares
// addresses.
TEST(Atomic, AStackOfReplaceAndSwapLosesAndDoublesNothing) {
  struct node {
    node* next = nullptr;
    unsigned taken = 0;
  };
  std::vector<node> nodes(std::size_t{kThreads} * kRounds);
  atomic_word<node*> top;
  atomic_word<std::uint64_t> count(0);
  in_threads([&](unsigned i) {
    for (unsigned round = 0; round < kRounds; ++round) {
      node& mine = nodes[std::size_t{i} * kRounds + round];
      node* old = top.load();
      do {
        mine.next = old;
      } while (!top.replace(old, &mine));
      if (round % 8 != 0) continue;
      for (node* n = top.swap(nullptr); n != nullptr; n = n->next) {
        ++n->taken;
        count.add(1);
      }
    }
  });
  for (node* n = top.swap(nullptr); n != nullptr; n = n->next) {
    ++n->taken;
    count.add(1);
  }
  EXPECT_EQ(count.load(), nodes.size());
  for (const node& n : nodes) ASSERT_EQ(n.taken, 1U);
}

}  // namespace
}  // namespace strata::platform
