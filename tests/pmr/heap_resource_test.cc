// SPDX-License-Identifier: Apache-2.0
// Claims beyond conformance, and beyond those of its rooms (heap_arenas_test, heap_blocks_test, heap_request_test,
// heap_compaction_test): release() voids all; misuse is one sentence each and changes nothing; live blocks at the end are
// misuse only when asked for; a heap found damaged is marked (W2-13); callbacks run with no lock held (D2-02, D2-13); the
// shared form serves many threads, and children of forks made meanwhile.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory_resource>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/support/recording_resource.h"

import strata.mem;
import strata.pmr;

namespace strata::pmr {
namespace {

constexpr std::size_t kib = 1024;

struct HeapResource : testing::Test {
  test::recording_resource upstream;

  void TearDown() override { set_misuse_handler(nullptr); }
};

std::vector<misuse> reports;
void remember(const misuse& what) { reports.push_back(what); }

void expect_sums(const layer& l) {
  const statistics s = l.stats();
  EXPECT_EQ(s.upstream, s.live + s.kept + s.overhead);
  EXPECT_FALSE(l.check().found()) << l.check().sentence;
}

// Under an inspector: what the heap would find in its own words is told before they are touched, in the words of all
// keepers (inspected_blocks_test).
constexpr const char* told_by_inspection = "an inspector has this told earlier";

TEST_F(HeapResource, ReleaseVoidsEverything) {
  heap_resource memory(&upstream);
  for (int i = 0; i < 1000; ++i) (void)memory.allocate(static_cast<std::size_t>(i) * 10, 64);
  memory.release();
  EXPECT_EQ(memory.stats().upstream, 0U);
  EXPECT_EQ(memory.stats().live, 0U);
  EXPECT_EQ(memory.stats().live_blocks, 0U);
  expect_sums(memory);
  void* const p = memory.allocate(10);
  memory.deallocate(p, 10);
}

TEST_F(HeapResource, ReportsMisuseAndStaysAsItWas) {
  if (mem::inspected()) GTEST_SKIP() << told_by_inspection;
  set_misuse_handler(remember);
  reports.clear();
  heap_resource memory(&upstream, {.name = "orders", .checks = true});
  heap_resource other(&upstream, {.name = "other", .checks = true});
  auto* const p = static_cast<std::byte*>(memory.allocate(64));
  std::memset(p, 0, 64);
  void* const q = memory.allocate(64);
  memory.deallocate(q, 64);

  memory.deallocate(q, 64);
  ASSERT_EQ(reports.size(), 1U);
  EXPECT_STREQ(reports[0].layer, "orders");
  EXPECT_STREQ(reports[0].sentence, "the block is free already");
  EXPECT_EQ(reports[0].pointer, q);
  EXPECT_EQ(reports[0].bytes, 64U);

  memory.deallocate(p + 16, 48);
  other.deallocate(p, 64);
  ASSERT_EQ(reports.size(), 3U);
  EXPECT_STREQ(reports[1].sentence, "not a block of this heap, or the word in front of it was overwritten");
  EXPECT_STREQ(reports[2].layer, "other");

  EXPECT_EQ(memory.stats().live, 64U);
  expect_sums(memory);
  memory.deallocate(p, 64);
  EXPECT_EQ(reports.size(), 3U);
}

TEST_F(HeapResource, ReportsLiveBlocksAtTheEndOnlyWhenAskedTo) {
  set_misuse_handler(remember);
  reports.clear();
  {
    heap_resource quiet(&upstream);
    (void)quiet.allocate(1);
  }
  EXPECT_TRUE(reports.empty());
  {
    heap_resource strict(&upstream, {.name = "strict", .live_at_end_is_misuse = true});
    (void)strict.allocate(1);
  }
  ASSERT_EQ(reports.size(), 1U);
  EXPECT_STREQ(reports[0].sentence, "destroyed with live blocks: their arenas are gone");
}

struct told : std::runtime_error {
  using std::runtime_error::runtime_error;
};
struct panicking {
  heap_resource<std::pmr::memory_resource, threads::any>* memory = nullptr;
  [[noreturn]] static void panic(void* self, const misuse& what) {
    (void)static_cast<panicking*>(self)->memory->stats();  // no lock is held
    throw told(what.sentence);
  }
};

TEST_F(HeapResource, IsMarkedWhenPanicThrowsForDamage) {
  if (mem::inspected()) GTEST_SKIP() << told_by_inspection;
  panicking program;
  heap_resource memory(static_cast<std::pmr::memory_resource*>(&upstream),
                       shared_heap{.checks = true, .panic = &panicking::panic, .argument = &program});
  program.memory = &memory;
  auto* const p = static_cast<unsigned char*>(memory.allocate(40));
  auto* const q = static_cast<unsigned char*>(memory.allocate(40));
  EXPECT_THROW(memory.deallocate(p + 16, 24), told) << "a fault of the caller's";
  void* const fine = memory.allocate(8);
  memory.deallocate(fine, 8);

  p[40] ^= 0x10;  // the word of q
  EXPECT_THROW(memory.deallocate(q, 40), told);
  EXPECT_TRUE(memory.check().found());
  EXPECT_TRUE(memory.check(p).found());
  try {
    (void)memory.allocate(1);
    ADD_FAILURE() << "a damaged heap served";
  } catch (const allocation_error& error) {
    EXPECT_NE(std::string(error.what()).find("found damaged"), std::string::npos) << error.what();
  }
  try {
    memory.deallocate(p, 40);
    ADD_FAILURE() << "a damaged heap took a block";
  } catch (const told& what) {
    EXPECT_STREQ(what.what(), "the heap was found damaged, and takes nothing back");
  }
  EXPECT_FALSE(memory.try_resize(p, 40, 50));
  EXPECT_EQ(memory.trim(), 0U);
  memory.release();
  void* const again = memory.allocate(40);
  memory.deallocate(again, 40);
  EXPECT_FALSE(memory.check().found());
}

TEST_F(HeapResource, IsSharedByManyThreads) {
  heap_resource memory(&upstream, shared_heap{.min_arena = 64 * kib, .keep_empty = 0});
  std::vector<std::thread> crew;
  for (unsigned t = 0; t < 4; ++t) {
    crew.emplace_back([&memory, t] {
      std::uint64_t state = t + 1;
      const auto next = [&] { return (state = state * 6364136223846793005U + 1442695040888963407U) >> 33U; };
      std::vector<std::pair<unsigned char*, std::size_t>> mine;
      for (int i = 0; i < 3000; ++i) {
        if (mine.size() < 20 || next() % 2 == 0) {
          const std::size_t bytes = 1 + next() % 5000;
          mine.emplace_back(static_cast<unsigned char*>(memory.allocate(bytes)), bytes);
          std::memset(mine.back().first, static_cast<int>(t), bytes);
        } else {
          std::swap(mine[next() % mine.size()], mine.back());
          auto& [p, bytes] = mine.back();
          if (next() % 3 == 0) {
            p = static_cast<unsigned char*>(memory.reallocate(p, bytes, bytes + 300));
            bytes += 300;
            std::memset(p + bytes - 300, static_cast<int>(t), 300);
          }
          EXPECT_TRUE(std::all_of(p, p + bytes, [t](unsigned char c) { return c == t; }));
          memory.deallocate(p, bytes);
          mine.pop_back();
        }
        if (i % 500 == 0) (void)memory.trim();
      }
      for (const auto& [p, bytes] : mine) memory.deallocate(p, bytes);
    });
  }
  for (std::thread& t : crew) t.join();
  EXPECT_EQ(memory.stats().live, 0U);
  expect_sums(memory);
  (void)memory.trim();
  EXPECT_EQ(memory.stats().upstream, 0U);
}

// Children die in _exit and say by their status that they could allocate. A hang would be the test's own time limit.
TEST_F(HeapResource, ChildrenOfAForkGoOnWithASharedHeap) {
  page_resource source;
  heap_resource memory(&source, shared_heap{.min_arena = 64 * kib, .keep_empty = 0});
  std::atomic<bool> done{false};
  std::vector<std::thread> crew;
  for (int t = 0; t < 4; ++t) {
    crew.emplace_back([&] {
      while (!done) {
        void* const small = memory.allocate(100);
        memory.deallocate(memory.allocate(60 * kib), 60 * kib);
        memory.deallocate(small, 100);
      }
    });
  }
  for (int i = 0; i < 100; ++i) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      memory.deallocate(memory.allocate(100'000), 100'000);
      (void)memory.trim();
      ::_exit(memory.check().found() ? 1 : 0);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "child " << i;
  }
  done = true;
  for (std::thread& t : crew) t.join();
  EXPECT_EQ(memory.stats().live, 0U);
  expect_sums(memory);
}

using HeapResourceDeathTest = HeapResource;

TEST_F(HeapResourceDeathTest, DoubleDeallocationPrintsASentenceAndAborts) {
  heap_resource memory(&upstream, {.name = "orders", .checks = true});
  void* const p = memory.allocate(64);
  memory.deallocate(p, 64);
  const std::string sentence =
      mem::inspected() ? "a block comes back that was deallocated before" : "the block is free already";
  EXPECT_DEATH(memory.deallocate(p, 64), "strata: orders: " + sentence + " \\(block .*, 64 bytes aligned to 16\\)");
}

}  // namespace
}  // namespace strata::pmr
