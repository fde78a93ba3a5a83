// SPDX-License-Identifier: Apache-2.0
// Claims: arenas are asked for by min_arena, grow by an eighth of what is held and fall back to what one request needs;
// max_bytes is never exceeded, and empty arenas make room under it; an emptied arena is kept within the stated hysteresis
// and trim() gives it back (D2-14); arenas that touch become one when the program agrees (S2-24), which is asked with no
// lock held.
#include <gtest/gtest.h>

#include <cstddef>
#include <limits>
#include <memory_resource>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/recording_resource.h"

import strata.mem;
import strata.pmr;

namespace strata::pmr {
namespace {

constexpr std::size_t kib = 1024;
constexpr std::size_t mib = 1024 * kib;
constexpr const char* blocks_wait = "under an inspector blocks wait before they are used again";

struct HeapArenas : testing::Test {
  test::recording_resource upstream;
};

void expect_sums(const layer& l) {
  const statistics s = l.stats();
  EXPECT_EQ(s.upstream, s.live + s.kept + s.overhead);
  EXPECT_FALSE(l.check().found()) << l.check().sentence;
}

TEST_F(HeapArenas, AsksUpstreamForNothingBeforeTheFirstBlock) {
  const heap_resource memory(&upstream);
  EXPECT_EQ(memory.stats().upstream, 0U);
  expect_sums(memory);
}

TEST_F(HeapArenas, AsksForMinArenaAndServesManyBlocksFromIt) {
  heap_resource memory(&upstream, {.min_arena = 256 * kib});
  std::vector<void*> blocks;
  for (int i = 0; i < 1000; ++i) blocks.push_back(memory.allocate(200));
  EXPECT_EQ(memory.stats().upstream, 256 * kib);
  EXPECT_EQ(memory.stats().live, 200'000U);
  EXPECT_EQ(memory.stats().live_blocks, 1000U);
  expect_sums(memory);
  for (void* const p : blocks) memory.deallocate(p, 200);
  EXPECT_EQ(memory.stats().live, 0U);
  EXPECT_EQ(memory.stats().peak, 200'000U);
  expect_sums(memory);
}

TEST_F(HeapArenas, FallsBackToWhatTheRequestNeedsWhenUpstreamHasNoMore) {
  alignas(16) std::byte buffer[4096];
  std::pmr::monotonic_buffer_resource limited(buffer, sizeof(buffer), std::pmr::null_memory_resource());
  heap_resource memory(static_cast<std::pmr::memory_resource*>(&limited), {.min_arena = 1 * mib});
  void* const p = memory.allocate(1000);
  EXPECT_LT(memory.stats().upstream, 1200U);
  EXPECT_THROW((void)memory.allocate(10'000), std::bad_alloc);
  EXPECT_EQ(memory.stats().failures, 1U);
  expect_sums(memory);
  memory.deallocate(p, 1000);
}

TEST_F(HeapArenas, NeverHoldsMoreThanMaxBytes) {
  heap_resource memory(&upstream, {.min_arena = 64 * kib, .max_bytes = 200 * kib});
  std::size_t got = 0;
  try {
    for (;; ++got) (void)memory.allocate(1000);
  } catch (const allocation_error& error) {
    EXPECT_NE(std::string(error.what()).find("max_bytes"), std::string::npos);
  }
  EXPECT_GE(got, 190U) << "the budget is to be used up, not only the whole arenas in it";
  EXPECT_LE(memory.stats().upstream, 200 * kib);
  EXPECT_THROW((void)memory.allocate(std::numeric_limits<std::size_t>::max()), allocation_error);
  expect_sums(memory);
  memory.release();
}

TEST_F(HeapArenas, MakesRoomUnderMaxBytesByGivingEmptyArenasBack) {
  heap_resource memory(&upstream,
                       {.min_arena = 64 * kib, .max_arena = 64 * kib, .max_bytes = 256 * kib, .keep_empty = 256 * kib});
  std::vector<void*> blocks;
  for (int i = 0; i < 3; ++i) blocks.push_back(memory.allocate(60 * kib));
  for (void* const p : blocks) memory.deallocate(p, 60 * kib);
  void* const large = memory.allocate(200 * kib);
  EXPECT_LE(memory.stats().upstream, 256 * kib);
  memory.deallocate(large, 200 * kib);
}

TEST_F(HeapArenas, KeepsAnEmptiedArenaAndAsksUpstreamNothingOnRefill) {
  heap_resource memory(&upstream, {.min_arena = 64 * kib, .keep_empty = 64 * kib});
  memory.deallocate(memory.allocate(1000), 1000);
  EXPECT_EQ(memory.stats().upstream, 64 * kib);
  for (int i = 0; i < 100; ++i) {
    memory.deallocate(memory.allocate(50 * kib), 50 * kib);
    EXPECT_EQ(memory.stats().upstream, 64 * kib);
  }
  EXPECT_EQ(memory.trim(), 64 * kib);
  EXPECT_EQ(memory.stats().upstream, 0U);
  EXPECT_EQ(memory.trim(), 0U);
  expect_sums(memory);
}

TEST_F(HeapArenas, GivesBackWhatGoesBeyondTheHysteresis) {
  if (mem::inspected()) GTEST_SKIP() << blocks_wait;
  heap_resource memory(&upstream, {.min_arena = 64 * kib, .max_arena = 64 * kib, .keep_empty = 0});
  std::vector<void*> blocks;  // one an arena
  for (int i = 0; i < 64; ++i) blocks.push_back(memory.allocate(60 * kib));
  const std::size_t most = memory.stats().upstream;
  for (void* const p : blocks) {
    memory.deallocate(p, 60 * kib);
    const statistics s = memory.stats();
    EXPECT_LE(s.kept, s.upstream / 8 + 64 * (4 * kib))
        << "an eighth in empty arenas, and what is left over in the others";
    expect_sums(memory);
  }
  EXPECT_GT(most, 60 * 64 * kib);
  EXPECT_EQ(memory.stats().upstream, 0U);
}

// Arenas out of one buffer, upwards.
struct joining {
  std::vector<std::pair<arena, arena>> asked;
  bool agrees = true;
  heap_resource<std::pmr::memory_resource, threads::any>* memory = nullptr;
  static bool merge(void* self, const arena& lower, const arena& upper) {
    auto* const me = static_cast<joining*>(self);
    me->asked.emplace_back(lower, upper);
    EXPECT_GE(me->memory->stats().upstream, 0U) << "no lock is held";
    return me->agrees;
  }
};

// Hands out what a buffer has, upwards, and takes it back in any pieces.
struct piecewise : std::pmr::memory_resource {
  std::vector<std::byte> buffer = std::vector<std::byte>(1 << 20);
  std::size_t used = 0;
  std::size_t returned = 0;
  std::size_t pieces = 0;
  void* do_allocate(std::size_t bytes, std::size_t) override {
    void* const p = buffer.data() + used;
    used += bytes;
    return p;
  }
  void do_deallocate(void*, std::size_t bytes, std::size_t) override {
    returned += bytes;
    ++pieces;
  }
  bool do_is_equal(const std::pmr::memory_resource& other) const noexcept override { return this == &other; }
};

TEST_F(HeapArenas, MergesArenasThatTouchWhenTheProgramAgrees) {
  for (const bool agrees : {true, false}) {
    piecewise pages;
    joining program;
    program.agrees = agrees;
    {
      heap_resource memory(static_cast<std::pmr::memory_resource*>(&pages), shared_heap{.min_arena = 64 * kib,
                                                                                        .max_arena = 64 * kib,
                                                                                        .keep_empty = 0,
                                                                                        .merge = &joining::merge,
                                                                                        .argument = &program});
      program.memory = &memory;
      std::vector<void*> blocks;
      for (int i = 0; i < 300; ++i) blocks.push_back(memory.allocate(1000));
      EXPECT_EQ(program.asked.size(), 4U) << "five arenas, upwards";
      for (const auto& [lower, upper] : program.asked) {
        EXPECT_EQ(static_cast<const std::byte*>(lower.start) + lower.bytes, upper.start);
        EXPECT_EQ(upper.bytes, 64 * kib);
      }
      const heap_figures now = memory.counters();
      EXPECT_EQ(now.arenas, now.used + now.free + now.overhead);
      EXPECT_EQ(now.arenas, 5 * 64 * kib);
      expect_sums(memory);
      for (void* const p : blocks) memory.deallocate(p, 1000);
      void* const whole = agrees ? memory.allocate(200 * kib) : nullptr;
      if (agrees) EXPECT_EQ(memory.stats().upstream, 5 * 64 * kib) << "a block across former borders";
      if (agrees) memory.deallocate(whole, 200 * kib);
      expect_sums(memory);
      (void)memory.trim();
    }
    EXPECT_EQ(pages.returned, pages.used);
    EXPECT_EQ(pages.pieces, agrees ? 1U : 5U);
  }
}

}  // namespace
}  // namespace strata::pmr
