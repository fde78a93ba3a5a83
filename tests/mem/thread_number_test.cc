// SPDX-License-Identifier: Apache-2.0
// Claims: a thread has one number, others another; a number is given again after its thread's end, and nobody's
// before; beyond the numbers there are none is given, and when one is free again it is; a thread-local destructor may
// still have one; a child of fork() keeps the forking thread's and never gives those of threads it does not have.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <latch>
#include <set>
#include <thread>
#include <vector>

#include "absl/functional/function_ref.h"

import strata.mem;

namespace strata::mem {
namespace {

std::set<std::uint32_t> free_numbers() {
  std::set<std::uint32_t> seen;
  hold_thread_numbers([&](absl::FunctionRef<bool(std::uint32_t)> is_nobodys) {
    for (std::uint32_t n = 1; n <= max_thread_number; ++n) {
      if (is_nobodys(n)) seen.insert(n);
    }
  });
  return seen;
}

TEST(ThreadNumber, IsOneForAThread) {
  const std::uint32_t mine = take_thread_number();
  EXPECT_NE(mine, 0U);
  EXPECT_EQ(take_thread_number(), mine);
  EXPECT_EQ(number_of_this_thread, mine);
  std::uint32_t other = 0;
  std::thread([&] {
    EXPECT_EQ(number_of_this_thread, 0U);
    other = take_thread_number();
    EXPECT_FALSE(free_numbers().contains(other));
  }).join();
  EXPECT_NE(other, 0U);
  EXPECT_NE(other, mine);
  EXPECT_TRUE(free_numbers().contains(other));
  EXPECT_FALSE(free_numbers().contains(mine));
  std::uint32_t again = 0;
  std::thread([&] { again = take_thread_number(); }).join();
  EXPECT_EQ(again, other);
}

TEST(ThreadNumber, IsNotGivenBeyondThoseThereAre) {
  constexpr std::size_t threads = max_thread_number + 4;
  std::vector<std::uint32_t> numbers(threads);
  std::latch all(threads);
  std::vector<std::thread> crew;
  for (std::size_t t = 0; t < threads; ++t) {
    crew.emplace_back([&, t] {
      numbers[t] = take_thread_number();
      all.arrive_and_wait();
    });
  }
  for (std::thread& t : crew) t.join();
  std::sort(numbers.begin(), numbers.end());
  const auto last = std::unique(numbers.begin(), numbers.end());
  EXPECT_EQ(numbers.front(), 0U);
  EXPECT_GE(std::distance(numbers.begin(), last), static_cast<std::ptrdiff_t>(max_thread_number - 1));
  std::thread([&] { EXPECT_NE(take_thread_number(), 0U); }).join();
}

TEST(ThreadNumber, IsThereForThreadLocalDestructors) {
  static std::uint32_t at_end;
  struct last_words {
    ~last_words() { at_end = take_thread_number(); }
    bool made = true;
  };
  std::thread([] {
    thread_local last_words words;
    EXPECT_TRUE(words.made);
  }).join();
  EXPECT_NE(at_end, 0U);
  EXPECT_TRUE(free_numbers().contains(at_end));
}

TEST(ThreadNumber, OfAThreadTheChildDoesNotHaveIsNotGivenThere) {
  const std::uint32_t mine = take_thread_number();
  std::latch has_one(1);
  std::latch forked(1);
  std::uint32_t other = 0;
  std::thread busy([&] {
    other = take_thread_number();
    has_one.count_down();
    forked.wait();
  });
  has_one.wait();
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    ::_exit(take_thread_number() == mine && !free_numbers().contains(other) ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  forked.count_down();
  busy.join();
  EXPECT_TRUE(free_numbers().contains(other));
}

}  // namespace
}  // namespace strata::mem
