// SPDX-License-Identifier: Apache-2.0
// Claims: a process whose eight threads allocate from every layer may fork at any moment. Each child, in its one thread,
// finds the blocks its parent held as they were, allocates from every layer, gives back, and ends: none hangs. The
// parent's blocks and figures are afterwards what they would have been without.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory_resource>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "tests/pmr/every_layer.h"
#include "tests/support/sanitizer.h"

import strata.pmr;

namespace strata::pmr {
namespace {

// A child that has not ended by then never will.
constexpr unsigned seconds_for_a_child = 60;
constexpr std::size_t thread_count = 8;

std::size_t forks() {
  if (const char* const given = std::getenv("STRATA_FORKS"); given != nullptr) return std::strtoul(given, nullptr, 10);
  if (std::getenv("STRATA_LONG") != nullptr) return 10'000;
  return test::under_asan || test::under_tsan ? 30 : 100;
}

struct memory {
  std::string name;
  test::instance object;
  layer& whole;
  std::byte* held;  ///< a block of the main thread's, all through

  static constexpr std::size_t held_bytes = 120;

  explicit memory(const test::subject& tested)
      : name(tested.name()),
        object(tested.make(nullptr)),
        whole(dynamic_cast<layer&>(*object)),
        held(static_cast<std::byte*>(whole.allocate(held_bytes))) {
    std::memset(held, 0x5A, held_bytes);
  }

  [[nodiscard]] bool held_is_whole() const {
    return std::all_of(held, held + held_bytes, [](std::byte b) { return b == std::byte{0x5A}; });
  }
};

// A few blocks of one memory, written, looked at again, given back. No heap of anybody else's.
bool use(std::pmr::memory_resource& memory, std::uint32_t& random) {
  std::array<std::byte*, 4> blocks{};
  std::array<std::size_t, 4> bytes{};
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    random = random * 1664525U + 1013904223U;
    bytes[i] = 1 + (random >> 20) % (i == 0 ? 3000 : 250);
    blocks[i] = static_cast<std::byte*>(memory.allocate(bytes[i]));
    std::memset(blocks[i], static_cast<int>(i + 1), bytes[i]);
  }
  bool good = true;
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    good = good && blocks[i][0] == std::byte(i + 1) && blocks[i][bytes[i] - 1] == std::byte(i + 1);
    memory.deallocate(blocks[i], bytes[i]);
  }
  return good;
}

// What a child does; its exit status is the number of the memory that is not well, counted from 1.
[[noreturn]] void child(std::span<memory> memories) {
  ::alarm(seconds_for_a_child);
  std::uint32_t random = 7;
  for (std::size_t i = 0; i < memories.size(); ++i) {
    if (!memories[i].held_is_whole() || !use(memories[i].whole, random)) ::_exit(static_cast<int>(i + 1));
    memories[i].whole.deallocate(memories[i].held, memory::held_bytes);
  }
  ::_exit(0);
}

void expect_no_harm(std::span<const test::subject> subjects, std::size_t times) {
  std::vector<memory> memories;
  memories.reserve(subjects.size());
  for (const test::subject& each : subjects) memories.emplace_back(each);

  std::atomic<bool> done{false};
  std::atomic<std::size_t> turns{0};
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < thread_count; ++t) {
    threads.emplace_back([&, t, random = static_cast<std::uint32_t>(t)]() mutable {
      for (std::size_t i = t; !done; ++i) {
        memory& mine = memories[i % memories.size()];
        if (!use(mine.whole, random)) ADD_FAILURE() << mine.name << ": a block was written by somebody else";
        turns.fetch_add(1, std::memory_order_relaxed);
      }
    });
  }

  for (std::size_t i = 0; i < times && !testing::Test::HasFailure(); ++i) {
    const pid_t born = ::fork();
    ASSERT_GE(born, 0);
    if (born == 0) child(memories);
    int status = 0;
    ASSERT_EQ(::waitpid(born, &status, 0), born);
    EXPECT_FALSE(WIFSIGNALED(status)) << "child " << i << " died of signal " << WTERMSIG(status)
                                      << (WTERMSIG(status) == SIGALRM ? ": it hung" : "");
    if (WIFEXITED(status) && WEXITSTATUS(status) != 0) {
      const auto wrong = static_cast<std::size_t>(WEXITSTATUS(status)) - 1;
      ADD_FAILURE() << "child " << i << " says that " << (wrong < memories.size() ? memories[wrong].name : "something")
                    << " is not well";
    }
  }
  done = true;
  for (std::thread& t : threads) t.join();
  EXPECT_GT(turns, thread_count);

  for (memory& each : memories) {
    SCOPED_TRACE(each.name);
    EXPECT_TRUE(each.held_is_whole());
    EXPECT_EQ(each.whole.stats().live_blocks, 1U);
    EXPECT_FALSE(each.whole.check().found());
    each.whole.deallocate(each.held, memory::held_bytes);
    EXPECT_EQ(each.whole.stats().live_blocks, 0U);
    EXPECT_EQ(each.whole.stats().live, 0U);
  }
}

// ThreadSanitizer follows 64 locks of one thread, and a fork takes them all: there a few layers at a time.
TEST(ForkStorm, HarmsNeitherSide) {
  const std::vector<test::subject> all = test::every_layer();
  const std::size_t at_once = test::under_tsan ? 4 : all.size();
  for (std::size_t first = 0; first < all.size(); first += at_once) {
    const std::span few = std::span(all).subspan(first, std::min(at_once, all.size() - first));
    expect_no_harm(few, test::under_tsan ? forks() / 4 : forks());
  }
}

}  // namespace
}  // namespace strata::pmr
