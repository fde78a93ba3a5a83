// SPDX-License-Identifier: Apache-2.0
// Claims: blocks are added up by call stack and taken away to the last bit, in samples too; a wrong size, a wrong
// alignment, a stranger and a block that comes twice are told, and change nothing; when the OS has no memory for the book,
// the places or their table, a block is refused with nothing changed, and the next is served; what is forgotten is void;
// threads; many blocks.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include "tests/os_script/os_script.h"

import strata.mem;

namespace strata::mem {
namespace {

using test::os_call;
using test::os_script;
using any_blocks = tracked_blocks<threads::any>;

const void* pointer(std::size_t i) { return reinterpret_cast<const void*>(std::uintptr_t{0x6000'0000'0000} + i * 64); }

/// A made-up call stack.
struct stack_of {
  std::array<const void*, 2> frames;
  explicit stack_of(std::size_t i) : frames{pointer(i + 1'000'000), pointer(7)} {}
  operator stack_table::stack() const { return frames; }
};

tracked_fault come(any_blocks& blocks, std::size_t i, std::size_t bytes, std::size_t from) {
  return blocks.admit(pointer(i), bytes, 8, 1, stack_of(from)).fault;
}

sample_weight live_of(const any_blocks& blocks) {
  sample_weight sum{0, 0};
  for (std::size_t i = 0; i < blocks.extent(); ++i) {
    sum.blocks += blocks.place(i).live.blocks;
    sum.bytes += blocks.place(i).live.bytes;
  }
  return sum;
}

TEST(TrackedBlocks, AreAddedUpByCallStack) {
  const auto blocks = std::make_unique<any_blocks>(tracking_plan{});
  for (std::size_t i = 0; i < 10; ++i) ASSERT_EQ(come(*blocks, i, 100 + i, i % 2), tracked_fault::none);
  ASSERT_EQ(blocks->extent(), 2U);
  EXPECT_EQ(blocks->place(0).live.blocks, 5 * sample_weight::unit);
  EXPECT_EQ(blocks->place(0).live.bytes, (100 + 102 + 104 + 106 + 108) * sample_weight::unit);
  ASSERT_EQ(blocks->take(pointer(4), 104, 8).fault, tracked_fault::none);
  EXPECT_EQ(blocks->place(0).live.bytes, (100 + 102 + 106 + 108) * sample_weight::unit);
  EXPECT_EQ(blocks->place(0).all.bytes, (100 + 102 + 104 + 106 + 108) * sample_weight::unit);
  EXPECT_EQ(blocks->stack(blocks->place(1).stack)[0], stack_of(1).frames[0]);
  EXPECT_EQ(blocks->count().live(), 1045U - 104U);
  EXPECT_EQ(blocks->size(), 9U);
  EXPECT_EQ(blocks->check(), nullptr);
}

TEST(TrackedBlocks, TellWhatIsWrongAndChangeNothing) {
  const auto blocks = std::make_unique<any_blocks>(tracking_plan{});
  ASSERT_EQ(come(*blocks, 1, 100, 3), tracked_fault::none);
  const auto twice = blocks->admit(pointer(1), 50, 8, 2, stack_of(4));
  EXPECT_EQ(twice.fault, tracked_fault::handed_out_twice);
  EXPECT_EQ(twice.bytes, 100U);
  EXPECT_EQ(twice.thread, 1U);
  EXPECT_EQ(blocks->stack(twice.stack)[0], stack_of(3).frames[0]);
  const auto other = blocks->take(pointer(1), 99, 8);
  EXPECT_EQ(other.fault, tracked_fault::other_size);
  EXPECT_EQ(other.bytes, 100U);
  EXPECT_EQ(blocks->take(pointer(1), 100, 16).fault, tracked_fault::other_alignment);
  EXPECT_EQ(blocks->take(pointer(2), 100, 8).fault, tracked_fault::absent);
  EXPECT_EQ(blocks->count().allocations, 1U);
  EXPECT_EQ(live_of(*blocks).bytes, 100 * sample_weight::unit);
  EXPECT_EQ(blocks->take(pointer(1), 100, 8).fault, tracked_fault::none);
  EXPECT_EQ(blocks->take(pointer(1), 100, 8).fault, tracked_fault::absent);
  EXPECT_EQ(blocks->check(), nullptr);
}

TEST(TrackedBlocks, SamplesAreTakenAwayToTheLastBit) {
  constexpr unsigned seed = 21;
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  const auto blocks = std::make_unique<any_blocks>(tracking_plan{.mean = 4096});
  EXPECT_FALSE(blocks->may_know(pointer(1)));
  std::vector<std::size_t> sizes(500);
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    sizes[i] = random() % 100'000;
    ASSERT_EQ(come(*blocks, i, sizes[i], i % 7), tracked_fault::none);
    ASSERT_TRUE(blocks->may_know(pointer(i)));
  }
  EXPECT_EQ(blocks->check(), nullptr);
  EXPECT_EQ(blocks->count().allocations, 0U);  // the owner counts
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    ASSERT_EQ(blocks->take(pointer(i), sizes[i], 8).fault, tracked_fault::none);
    ASSERT_FALSE(blocks->may_know(pointer(i)));
  }
  EXPECT_EQ(live_of(*blocks).blocks, 0U);
  EXPECT_EQ(live_of(*blocks).bytes, 0U);
  EXPECT_EQ(blocks->check(), nullptr);
}

TEST(TrackedBlocks, RefuseABlockWithNothingChangedWhenTheOsHasNoMemory) {
  unsigned refused = 0;
  const unsigned met = test::fail_each(os_call::mmap, {ENOMEM}, [&](const os_script&) {
    const auto blocks = std::make_unique<any_blocks>(tracking_plan{});
    if (come(*blocks, 1, 10, 1) == tracked_fault::no_memory) {
      ++refused;
      EXPECT_EQ(blocks->count().allocations, 0U);
      EXPECT_EQ(blocks->size(), 0U);
    }
    EXPECT_EQ(blocks->check(), nullptr);
    EXPECT_EQ(come(*blocks, 2, 10, 1), tracked_fault::none);
    EXPECT_EQ(blocks->check(), nullptr);
  });
  EXPECT_GE(met, 4U);
  EXPECT_GE(refused, 3U);  // the book, its table, the places; a stack that was not kept is no reason
}

TEST(TrackedBlocks, ForgetAll) {
  const auto blocks = std::make_unique<any_blocks>(tracking_plan{.mean = 64});
  for (std::size_t i = 0; i < 1000; ++i) ASSERT_EQ(come(*blocks, i, 10, 1), tracked_fault::none);
  blocks->forget_all();
  EXPECT_EQ(blocks->size(), 0U);
  EXPECT_EQ(live_of(*blocks).bytes, 0U);
  EXPECT_FALSE(blocks->may_know(pointer(5)));
  EXPECT_EQ(come(*blocks, 5, 10, 1), tracked_fault::none);
  EXPECT_EQ(blocks->check(), nullptr);
}

TEST(TrackedBlocks, NoteScopesAndPeaks) {
  const auto blocks = std::make_unique<any_blocks>(tracking_plan{});
  ASSERT_EQ(come(*blocks, 1, 100, 1), tracked_fault::none);
  ASSERT_TRUE(blocks->push(nullptr));
  ASSERT_EQ(come(*blocks, 2, 50, 1), tracked_fault::none);
  ASSERT_EQ(blocks->take(pointer(2), 50, 8).fault, tracked_fault::none);
  scope_usage scope;
  ASSERT_TRUE(blocks->pop(nullptr, scope));
  EXPECT_EQ(scope.peak_above_start, 50U);
  EXPECT_EQ(scope.live, 0);
  EXPECT_FALSE(blocks->pop(nullptr, scope));
  EXPECT_EQ(blocks->peak(), 150U);
  std::size_t depth = 0;
  while (blocks->push(nullptr)) ++depth;
  EXPECT_EQ(depth, usage_scopes::deepest);
}

TEST(TrackedBlocks, KnowManyFromManyPlaces) {
  constexpr std::size_t count = 60'000;
  const auto blocks = std::make_unique<any_blocks>(tracking_plan{});
  for (std::size_t i = 0; i < count; ++i) ASSERT_EQ(come(*blocks, i, 16, i % 3000), tracked_fault::none);
  EXPECT_EQ(blocks->extent(), 3000U);
  EXPECT_EQ(blocks->check(), nullptr);
  for (std::size_t i = 0; i < count; ++i) ASSERT_EQ(blocks->take(pointer(i), 16, 8).fault, tracked_fault::none);
  EXPECT_EQ(live_of(*blocks).blocks, 0U);
}

TEST(TrackedBlocks, ServeThreads) {
  const auto blocks = std::make_unique<any_blocks>(tracking_plan{});
  std::vector<std::thread> threads;
  std::atomic<std::size_t> wrong{0};
  for (std::size_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (std::size_t i = 0; i < 2000; ++i) {
        wrong += come(*blocks, t * 10'000 + i, i, t) != tracked_fault::none ? 1 : 0;
        if (i % 2 != 0) wrong += blocks->take(pointer(t * 10'000 + i), i, 8).fault != tracked_fault::none ? 1 : 0;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0U);
  EXPECT_EQ(blocks->size(), 4000U);
  EXPECT_EQ(blocks->check(), nullptr);
}

}  // namespace
}  // namespace strata::mem
