// SPDX-License-Identifier: Apache-2.0
// Claims: the same stack has the same number, another stack another, and each is found by its number, whatever the hashes
// have in common; none is the number of no stack; numbers that are of no stack find nothing; it takes no memory before the
// first stack and never more than it may; where the table or the OS has no more, known stacks are known still, and what
// was refused is counted; all memory goes back; threads that insert the same stacks get the same numbers; what is looked
// up while others insert is whole, in signal handlers too; check() sees a stray write; a child of fork() can go on.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <map>
#include <random>
#include <set>
#include <span>
#include <thread>
#include <vector>

#include "tests/os_script/os_script.h"

import strata.mem;

namespace strata::mem {
namespace {

using frames = std::vector<const void*>;

// The table looks at addresses, never behind them.
const void* frame(std::uintptr_t address) { return reinterpret_cast<const void*>(address); }

/// Stack number `i` of many that differ: `depth` addresses, of which the first are as many stacks' as in real programs.
frames stack_of(std::uintptr_t i, std::size_t depth = 8) {
  frames made;
  for (std::size_t k = 0; k < depth; ++k)
    made.push_back(frame(0x40'0000 + (k + 1 < depth ? 16 * k : 16 * (i + depth))));
  return made;
}

bool same(stack_table::stack found, const frames& wanted) { return std::ranges::equal(found, wanted); }

TEST(StackTable, NumbersStacksAsAModelDoes) {
  const std::uint64_t seed = 11;
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937_64 random(seed);
  stack_table table;
  std::map<frames, std::uint32_t> model;
  for (int step = 0; step < 30'000; ++step) {
    // Few addresses and depths, so that stacks come again, and are each other's beginnings.
    frames stack;
    for (std::size_t depth = 1 + random() % 6; stack.size() < depth;) stack.push_back(frame(random() % 5 * 16));
    const std::uint32_t number = table.insert(stack);
    ASSERT_NE(number, stack_table::none);
    const auto [at, fresh] = model.emplace(stack, number);
    ASSERT_EQ(at->second, number) << "step " << step;
    ASSERT_EQ(table.size(), model.size());
  }
  std::set<std::uint32_t> numbers;
  for (const auto& [stack, number] : model) {
    EXPECT_TRUE(same(table.look_up(number), stack));
    EXPECT_TRUE(numbers.insert(number).second) << "two stacks have number " << number;
  }
  EXPECT_EQ(table.check(), nullptr);
  EXPECT_EQ(table.refused(), 0U);
}

TEST(StackTable, GivesTheEmptyStackNoNumberAndNoMemory) {
  stack_table table;
  EXPECT_EQ(table.insert({}), stack_table::none);
  EXPECT_TRUE(table.look_up(stack_table::none).empty());
  EXPECT_EQ(table.bytes(), 0U);
  EXPECT_EQ(table.refused(), 0U);
  EXPECT_EQ(table.size(), 0U);
}

TEST(StackTable, LeavesOutWhatLiesBeyondTheDeepestItKeeps) {
  stack_table table;
  frames deep;
  for (std::uintptr_t i = 1; i <= stack_table::max_depth + 10; ++i) deep.push_back(frame(16 * i));
  const std::uint32_t number = table.insert(deep);
  deep.resize(stack_table::max_depth);
  EXPECT_TRUE(same(table.look_up(number), deep));
  EXPECT_EQ(table.insert(deep), number);
  deep.pop_back();
  EXPECT_NE(table.insert(deep), number);
}

// 300 000 hashes of 32 bits: ten pairs of equal ones are to be expected, and hundreds of stacks in a list of the smaller
// table, which has a thousand lists.
TEST(StackTable, TellsStacksApartWhoseHashesAreTheSame) {
  const std::uint64_t seed = 12;
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  for (const auto& [stacks, max_bytes] :
       {std::pair{300'000U, std::size_t{64} << 20}, {1'500U, std::size_t{64} << 10}}) {
    std::mt19937_64 random(seed);
    stack_table table({.max_bytes = max_bytes});
    std::vector<std::array<const void*, 2>> all(stacks);
    std::vector<std::uint32_t> numbers;
    for (auto& each : all) {
      each = {frame(random()), frame(random())};
      numbers.push_back(table.insert(each));
    }
    ASSERT_EQ(table.size(), stacks);
    for (std::size_t i = 0; i < stacks; ++i) {
      ASSERT_TRUE(std::ranges::equal(table.look_up(numbers[i]), all[i])) << i;
      ASSERT_EQ(table.insert(all[i]), numbers[i]);
    }
    EXPECT_EQ(table.check(), nullptr);
  }
}

TEST(StackTable, FindsNothingBehindANumberOfNoStack) {
  stack_table table;
  std::set<std::uint32_t> numbers;
  for (std::uintptr_t i = 0; i < 20'000; ++i) numbers.insert(table.insert(stack_of(i)));
  const std::uint32_t last = *numbers.rbegin();
  std::size_t wrong = 0;
  for (std::uint32_t n = 0; n < last + 1'000; ++n) {
    if (!numbers.contains(n) && !table.look_up(n).empty()) ++wrong;
  }
  EXPECT_LE(wrong, 1U);  // 24 bits of 180 000 words could be right by chance
  for (const std::uint32_t n : {0x7FFF'FFFFU, 0xFFFF'E000U, 0xFFFF'FFFFU}) EXPECT_TRUE(table.look_up(n).empty());
}

TEST(StackTable, TakesNoMoreThanItMayAndKnowsWhatItKnowsWhenFull) {
  for (const std::size_t max_bytes : {std::size_t{0}, page_bytes(), 2 * page_bytes() - 1, 2 * page_bytes(),
                                      std::size_t{100'000}, std::size_t{1} << 20}) {
    SCOPED_TRACE(testing::Message() << max_bytes << " bytes");
    test::os_script script;
    {
      stack_table table({.max_bytes = max_bytes});
      EXPECT_EQ(script.mapped_bytes(), 0U);
      std::vector<std::uint32_t> numbers;
      std::size_t refused = 0;
      for (std::uintptr_t i = 0; i < 20'000; ++i) {
        numbers.push_back(table.insert(stack_of(i)));
        if (numbers.back() == stack_table::none) ++refused;
      }
      EXPECT_GT(refused, 0U);
      EXPECT_EQ(table.refused(), refused);
      EXPECT_EQ(table.size() + refused, numbers.size());
      EXPECT_EQ(table.bytes(), script.mapped_bytes());
      EXPECT_LE(table.bytes(), max_bytes);
      // Of what it may take, a stack of eight addresses and its word take 72 bytes; little is lost but the heads.
      if (max_bytes >= 100'000) {
        EXPECT_GT(table.size() * 72 * 100, max_bytes * 85);
      }
      for (std::uintptr_t i = 0; i < numbers.size(); ++i) {
        ASSERT_EQ(table.insert(stack_of(i)), numbers[i]);
        if (numbers[i] != stack_table::none) ASSERT_TRUE(same(table.look_up(numbers[i]), stack_of(i)));
      }
      EXPECT_EQ(table.check(), nullptr);
    }
    EXPECT_EQ(script.mapped_bytes(), 0U);
  }
}

TEST(StackTable, GoesOnWhereTheOsHasRefused) {
  test::os_script script;
  {
    stack_table table;
    script.fail(test::os_call::mmap, 1, ENOMEM);  // the heads
    EXPECT_EQ(table.insert(stack_of(0)), stack_table::none);
    EXPECT_EQ(table.bytes(), 0U);
    script.fail(test::os_call::mmap, 2, ENOMEM);  // the first chunk
    EXPECT_EQ(table.insert(stack_of(0)), stack_table::none);
    EXPECT_EQ(table.refused(), 2U);
    EXPECT_TRUE(table.look_up(1).empty());
    EXPECT_EQ(table.check(), nullptr);
    const std::uint32_t first = table.insert(stack_of(0));
    ASSERT_NE(first, stack_table::none);
    script.fail_always(test::os_call::mmap, ENOMEM);
    std::uintptr_t i = 1;
    while (table.insert(stack_of(i)) != stack_table::none) ++i;
    EXPECT_GT(i, 800U);
    EXPECT_EQ(table.insert(stack_of(0)), first);
    EXPECT_EQ(table.size(), i);
    script.fail_always(test::os_call::mmap, 0);
    EXPECT_NE(table.insert(stack_of(i)), stack_table::none);
    EXPECT_EQ(table.size(), i + 1);
    EXPECT_EQ(table.check(), nullptr);
  }
  EXPECT_EQ(script.mapped_bytes(), 0U);
}

TEST(StackTable, CheckSeesAStrayWrite) {
  stack_table table;
  std::uint32_t number = 0;
  for (std::uintptr_t i = 0; i < 100; ++i) number = table.insert(stack_of(i));
  EXPECT_EQ(table.check(), nullptr);
  auto* const hit = const_cast<const void**>(&table.look_up(number)[3]);
  const void* const was = *hit;
  *hit = &table;
  EXPECT_STREQ(table.check(), "a stack does not match its tag");
  EXPECT_TRUE(table.look_up(number).empty());
  *hit = was;
  EXPECT_EQ(table.check(), nullptr);
}

// Every thread inserts all stacks, beginning somewhere else, and looks up each number at once.
TEST(StackTableOfThreads, GivesAllThreadsTheSameNumbers) {
  constexpr std::size_t crew_size = 4;
  constexpr std::size_t stacks = 5'000;
  stack_table table;
  std::array<std::vector<std::uint32_t>, crew_size> numbers;
  std::atomic<std::size_t> wrong{0};
  std::vector<std::thread> crew;
  for (std::size_t t = 0; t < crew_size; ++t) {
    numbers[t].resize(stacks);
    crew.emplace_back([&, t] {
      for (std::size_t k = 0; k < 2 * stacks; ++k) {
        const std::size_t i = (k + t * 97) % stacks;
        numbers[t][i] = table.insert(stack_of(i));
        if (!same(table.look_up(numbers[t][i]), stack_of(i))) ++wrong;
      }
    });
  }
  for (std::thread& each : crew) each.join();
  EXPECT_EQ(wrong, 0U);
  EXPECT_EQ(table.size(), stacks);
  for (const auto& of_thread : numbers) EXPECT_EQ(of_thread, numbers[0]);
  EXPECT_EQ(table.check(), nullptr);
}

// Numbers are handed on without any order between the threads, as a record that a fault handler reads may be.
TEST(StackTableOfThreads, FindsNothingHalfWritten) {
  constexpr std::uintptr_t stacks = 30'000;
  stack_table table;
  std::atomic<std::uint32_t> newest{stack_table::none};
  std::atomic<bool> done{false};
  std::atomic<std::size_t> wrong{0};
  std::vector<std::thread> readers;
  for (int t = 0; t < 3; ++t) {
    readers.emplace_back([&] {
      while (!done.load(std::memory_order_relaxed)) {
        const std::uint32_t number = newest.load(std::memory_order_relaxed);
        const stack_table::stack found = table.look_up(number);
        if (!found.empty() && (found.size() != 8 || found[0] != frame(0x40'0000))) ++wrong;
      }
    });
  }
  for (std::uintptr_t i = 0; i < stacks; ++i) {
    const std::uint32_t number = table.insert(stack_of(i));
    newest.store(number, std::memory_order_relaxed);
    if (!same(table.look_up(number), stack_of(i))) ++wrong;
  }
  done = true;
  for (std::thread& each : readers) each.join();
  EXPECT_EQ(wrong, 0U);
}

stack_table* asked_in_handler = nullptr;
std::atomic<std::uint32_t> last_number{stack_table::none};
std::atomic<std::size_t> answers{0};
std::atomic<std::size_t> wrong_answers{0};

void look_up_in_handler(int /*signal*/) {
  const std::uint32_t number = last_number.load(std::memory_order_relaxed);
  const stack_table::stack found = asked_in_handler->look_up(number);
  if (number != stack_table::none && (found.size() != 8 || found[0] != frame(0x40'0000))) {
    wrong_answers.fetch_add(1, std::memory_order_relaxed);
  }
  answers.fetch_add(1, std::memory_order_relaxed);
}

// The thread that inserts is interrupted wherever it is, its lock held or not.
TEST(StackTableOfThreads, IsReadInASignalHandlerWhateverWasInterrupted) {
  stack_table table;
  asked_in_handler = &table;
  struct sigaction ours = {};
  ours.sa_handler = look_up_in_handler;
  struct sigaction before = {};
  ASSERT_EQ(::sigaction(SIGUSR1, &ours, &before), 0);
  std::atomic<bool> done{false};
  std::thread inserting([&] {
    // New stacks all the time, until the table is full; then it is refused under the lock.
    for (std::uintptr_t i = 0; !done.load(std::memory_order_relaxed); ++i) {
      const std::uint32_t number = table.insert(stack_of(i));
      if (number != stack_table::none) last_number.store(number, std::memory_order_relaxed);
    }
  });
  for (std::size_t i = 0; i < 200; ++i) {
    ASSERT_EQ(::pthread_kill(inserting.native_handle(), SIGUSR1), 0);
    while (answers.load(std::memory_order_relaxed) <= i) std::this_thread::yield();
  }
  done = true;
  inserting.join();
  ASSERT_EQ(::sigaction(SIGUSR1, &before, nullptr), 0);
  EXPECT_EQ(wrong_answers, 0U);
  EXPECT_GT(table.size(), 0U);
}

// The threads insert new stacks, and when the table is full are refused, which takes the lock as well. Children die in
// _exit and say by their status what they found. A hang would be the test's own time limit.
TEST(StackTableOfThreads, ChildrenOfAForkCanGoOnWhileThreadsOfTheParentDid) {
  constexpr std::size_t all = std::size_t{4} << 20;
  stack_table table({.max_bytes = all});
  const std::uint32_t known = table.insert(stack_of(0));
  ASSERT_FALSE(table.unknown_to_fork().failed());
  std::atomic<bool> done{false};
  std::vector<std::thread> crew;
  for (std::uintptr_t t = 0; t < 3; ++t) {
    crew.emplace_back([&, t] {
      for (std::uintptr_t i = 0; !done; ++i) static_cast<void>(table.insert(stack_of(1 + t + 3 * i)));
    });
  }
  for (int i = 0; i < 40; ++i) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      const frames own = stack_of(std::uintptr_t{1} << 40);
      const std::uint32_t fresh = table.insert(own);
      const bool inserted = fresh == stack_table::none ? table.bytes() == all : same(table.look_up(fresh), own);
      const bool kept = table.insert(stack_of(0)) == known && same(table.look_up(known), stack_of(0));
      ::_exit(inserted && kept && table.check() == nullptr ? 0 : 1);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "child " << i;
  }
  done = true;
  for (std::thread& each : crew) each.join();
  EXPECT_TRUE(same(table.look_up(known), stack_of(0)));
}

}  // namespace
}  // namespace strata::mem
