// SPDX-License-Identifier: Apache-2.0
// Claims: answers are those of a trivial model, whatever comes and goes, through every growth, in both forms; a block
// that comes with another size stays in; a growth that the OS refuses changes nothing, and room once made needs no OS;
// nothing is left mapped at the end; check() sees a stray write; threads find what others put in and nothing else; a child of fork() can go on.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <map>
#include <random>
#include <thread>
#include <vector>

#include "tests/os_script/os_script.h"

import strata.mem;

namespace strata::mem {
namespace {

// The set looks at addresses, never behind them.
const void* block_at(std::uintptr_t address) { return reinterpret_cast<const void*>(address); }

template <class Set>
struct BlockSet : testing::Test {
  Set set;
};
using both = testing::Types<block_set<threads::any>, block_set<threads::one>>;
TYPED_TEST_SUITE(BlockSet, both);

TYPED_TEST(BlockSet, AnswersAsAModelDoes) {
  const std::uint64_t seed = 5;
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937_64 random(seed);
  std::map<std::uintptr_t, std::size_t> model;
  for (int step = 0; step < 300'000; ++step) {
    const std::uintptr_t address = (1 + random() % 5000) * 16;
    const auto at = model.find(address);
    if (at == model.end() && random() % 100 < (step / 30'000 % 2 == 0 ? 80U : 20U)) {
      const std::size_t bytes = random() % 100;
      ASSERT_FALSE(this->set.add(block_at(address), bytes).failed());
      model[address] = bytes;
    } else if (at == model.end()) {
      ASSERT_EQ(this->set.take(block_at(address), random() % 100), set_answer::absent);
    } else if (random() % 4 == 0) {
      ASSERT_EQ(this->set.take(block_at(address), at->second + 1), set_answer::other_size);
    } else {
      ASSERT_EQ(this->set.take(block_at(address), at->second), set_answer::taken);
      model.erase(at);
    }
    ASSERT_EQ(this->set.size(), model.size());
  }
  for (const auto& [address, bytes] : model) ASSERT_EQ(this->set.take(block_at(address), bytes), set_answer::taken);
  EXPECT_EQ(this->set.size(), 0U);
}

TYPED_TEST(BlockSet, ARefusedGrowthChangesNothing) {
  test::os_script script;
  {
    TypeParam set;
    script.fail(test::os_call::mmap, 1, ENOMEM);
    EXPECT_EQ(set.add(block_at(64), 10).code, ENOMEM);
    EXPECT_EQ(set.take(block_at(64), 10), set_answer::absent);
    ASSERT_FALSE(set.prepare(128).failed());
    script.fail_always(test::os_call::mmap, ENOMEM);
    for (std::uintptr_t i = 1; i <= 128; ++i) ASSERT_FALSE(set.add(block_at(64 * i), i).failed()) << i;
    EXPECT_EQ(set.prepare(100'000).code, ENOMEM);
    EXPECT_EQ(set.size(), 128U);
    for (std::uintptr_t i = 1; i <= 128; ++i) ASSERT_EQ(set.take(block_at(64 * i), i), set_answer::taken) << i;
    script.fail_always(test::os_call::mmap, 0);
  }
  EXPECT_EQ(script.mapped_bytes(), 0U);
}

TYPED_TEST(BlockSet, CheckSeesAStrayWrite) {
  for (std::uintptr_t i = 1; i <= 100; ++i) ASSERT_FALSE(this->set.add(block_at(16 * i), i).failed());
  EXPECT_EQ(this->set.check(), nullptr);
  auto* const hit = reinterpret_cast<unsigned char*>(&this->set) + 1000;
  *hit = static_cast<unsigned char>(*hit ^ 1U);
  EXPECT_STREQ(this->set.check(), "remembered blocks are more or fewer than were counted");
  *hit = static_cast<unsigned char>(*hit ^ 1U);
  EXPECT_EQ(this->set.check(), nullptr);
}

// Each thread puts its own in and takes those of its neighbour out, which come to it one by one; all the while it asks
// about others that nobody puts in but that share their hashes.
TEST(BlockSetOfThreads, FindsWhatAnotherThreadPutInAndNothingElse) {
  constexpr std::size_t crew_size = 4;
  constexpr std::size_t rounds = 20'000;
  block_set<threads::any> set;
  std::vector<std::byte> place(crew_size * rounds * 2);
  std::vector<std::atomic<std::size_t>> handed(crew_size);
  std::atomic<std::size_t> wrong{0};
  const auto block_of = [&](std::size_t t, std::size_t i) { return &place[2 * (t * rounds + i)]; };
  std::vector<std::thread> crew;
  for (std::size_t t = 0; t < crew_size; ++t) {
    crew.emplace_back([&, t] {
      const std::size_t other = (t + 1) % crew_size;
      std::size_t taken = 0;
      const auto take_what_came = [&] {
        for (; taken < handed[other].load(std::memory_order_acquire); ++taken) {
          if (set.take(block_of(other, taken), taken) != set_answer::taken) ++wrong;
        }
      };
      for (std::size_t i = 0; i < rounds; ++i) {
        if (set.add(block_of(t, i), i).failed()) ++wrong;
        handed[t].store(i + 1, std::memory_order_release);
        if (set.take(block_of(t, i) + 1, i) != set_answer::absent) ++wrong;
        take_what_came();
      }
      while (taken < rounds) {
        take_what_came();
        std::this_thread::yield();
      }
    });
  }
  for (std::thread& each : crew) each.join();
  EXPECT_EQ(wrong, 0U);
  EXPECT_EQ(set.size(), 0U);
}

// Children die in _exit and say by their status what they found. A hang would be the test's own time limit.
TEST(BlockSetOfThreads, ChildrenOfAForkCanGoOnWhileThreadsOfTheParentDid) {
  block_set<threads::any> set;
  ASSERT_FALSE(set.add(block_at(16), 1).failed());
  std::atomic<bool> done{false};
  std::vector<std::thread> crew;
  for (std::uintptr_t t = 0; t < 4; ++t) {
    crew.emplace_back([&, t] {
      const void* const own = block_at((t + 2) * 16);
      while (!done) {
        static_cast<void>(set.add(own, t));
        static_cast<void>(set.take(own, t));
      }
    });
  }
  for (int i = 0; i < 100; ++i) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      const bool right = set.take(block_at(16), 1) == set_answer::taken && !set.add(block_at(32'000), 2).failed() &&
                         set.take(block_at(32'000), 2) == set_answer::taken;
      ::_exit(right ? 0 : 1);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "child " << i;
  }
  done = true;
  for (std::thread& each : crew) each.join();
  EXPECT_EQ(set.take(block_at(16), 1), set_answer::taken);
}

}  // namespace
}  // namespace strata::mem
