// SPDX-License-Identifier: Apache-2.0
// Claims beyond conformance: arenas are asked for by min_arena, grow by an eighth of what is held and fall back to what
// one request needs; max_bytes is never exceeded; an emptied arena is kept within the stated hysteresis and trim()
// gives it back; release() voids all; in-place resize keeps the books; check() and walk() show the truth; misuse is one
// sentence each and changes nothing; live blocks at the end are misuse only when asked for. Aligned blocks of any
// residue; blocks that grow in every direction or move, and are as they were when that fails (W2-12); arenas that touch
// become one when the program agrees (S2-24); counters add up at every step (S2-20, D2-09); a heap found damaged is
// marked (W2-13); callbacks run with no lock held (D2-02, D2-13); sizes that wrap are refused (D2-07); arenas go back
// (D2-14); foreign pointers are told without being read (D2-15); the shared form serves many threads, and children of forks
// made meanwhile.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory_resource>
#include <new>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/support/failing_resource.h"
#include "tests/support/recording_resource.h"

import strata.mem;
import strata.pmr;

namespace strata::pmr {
namespace {

constexpr std::size_t kib = 1024;
constexpr std::size_t mib = 1024 * kib;

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
// keepers (inspected_blocks_test), and blocks wait before they are used again.
constexpr const char* told_by_inspection = "an inspector has this told earlier";
constexpr const char* blocks_wait = "blocks wait before they are used again";

TEST_F(HeapResource, AsksUpstreamForNothingBeforeTheFirstBlock) {
  const heap_resource memory(&upstream);
  EXPECT_EQ(memory.stats().upstream, 0U);
  expect_sums(memory);
}

TEST_F(HeapResource, AsksForMinArenaAndServesManyBlocksFromIt) {
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

TEST_F(HeapResource, FallsBackToWhatTheRequestNeedsWhenUpstreamHasNoMore) {
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

TEST_F(HeapResource, NeverHoldsMoreThanMaxBytes) {
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

TEST_F(HeapResource, KeepsAnEmptiedArenaAndAsksUpstreamNothingOnRefill) {
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

TEST_F(HeapResource, GivesBackWhatGoesBeyondTheHysteresis) {
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

TEST_F(HeapResource, ResizesInPlaceOrSaysNo) {
  heap_resource memory(&upstream);
  void* const p = memory.allocate(100);
  EXPECT_TRUE(memory.try_resize(p, 100, 10'000));
  EXPECT_GE(memory.usable_size(p), 10'000U);
  std::memset(p, 1, 10'000);
  EXPECT_EQ(memory.stats().live, 10'000U);
  expect_sums(memory);
  EXPECT_FALSE(memory.try_resize(p, 10'000, 10 * mib));
  EXPECT_EQ(memory.stats().live, 10'000U);
  EXPECT_TRUE(memory.try_resize(p, 10'000, 5));
  EXPECT_EQ(memory.stats().live, 5U);
  expect_sums(memory);
  memory.deallocate(p, 5);
}

TEST_F(HeapResource, WalksTheBlocksThereAre) {
  heap_resource memory(&upstream);
  std::vector<const void*> blocks;
  for (int i = 0; i < 10; ++i) blocks.push_back(memory.allocate(100));
  std::vector<const void*> seen;
  std::size_t bytes = 0;
  memory.walk([&](const auto& b) {
    if (b.used) seen.push_back(b.payload);
    bytes += b.bytes;
  });
  EXPECT_TRUE(std::is_permutation(seen.begin(), seen.end(), blocks.begin(), blocks.end()));
  EXPECT_LE(bytes, memory.stats().upstream);
  EXPECT_GT(bytes, memory.stats().upstream - 100);
  memory.release();
}

TEST_F(HeapResource, CheckFindsAnOverrun) {
  if (mem::inspected()) GTEST_SKIP() << told_by_inspection;
  heap_resource memory(&upstream);
  auto* const p = static_cast<unsigned char*>(memory.allocate(40));
  p[40] ^= 1;
  EXPECT_STREQ(memory.check().sentence, "not a block of this heap, or the word in front of it was overwritten");
  p[40] ^= 1;
  EXPECT_FALSE(memory.check().found());
  memory.deallocate(p, 40);
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

TEST_F(HeapResource, LooksAtSmallBlocksAFewDeallocationsLater) {
  if (mem::inspected()) GTEST_SKIP() << told_by_inspection;
  set_misuse_handler(remember);
  reports.clear();
  {
    heap_resource memory(&upstream, {.name = "later"});
    std::vector<void*> blocks;
    for (int i = 0; i < 10; ++i) blocks.push_back(memory.allocate(64));
    memory.deallocate(blocks[0], 64);
    memory.deallocate(blocks[0], 64);
    EXPECT_TRUE(reports.empty());
    for (std::size_t i = 1; i < 6; ++i) memory.deallocate(blocks[i], 64);
    ASSERT_EQ(reports.size(), 1U);
    EXPECT_STREQ(reports[0].layer, "later");
    EXPECT_STREQ(reports[0].sentence, "the block is free already");
    EXPECT_EQ(reports[0].pointer, blocks[0]);
    EXPECT_EQ(reports[0].bytes, 64U);
    EXPECT_EQ(memory.stats().live, 4 * 64U);
    expect_sums(memory);

    memory.deallocate(blocks[6], 64);
    memory.deallocate(blocks[6], 64);
    EXPECT_EQ(memory.stats().live, 3 * 64U) << "who asks gets what is so";
    EXPECT_FALSE(memory.holds(blocks[6]));
    EXPECT_EQ(reports.size(), 1U);
    memory.deallocate(blocks[7], 64);
    EXPECT_EQ(reports.size(), 1U) << "nothing was due";
    (void)memory.allocate(100'000);
    ASSERT_EQ(reports.size(), 2U);
    EXPECT_EQ(reports[1].pointer, blocks[6]);
    memory.deallocate(blocks[8], 64);
    memory.deallocate(blocks[8], 64);
  }
  ASSERT_EQ(reports.size(), 3U) << "at the end, at the latest";
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

TEST_F(HeapResource, HandsOutAllThatABlockHolds) {
  heap_resource memory(&upstream, {.quantum = 256});
  const sized_block b = memory.allocate_at_least(100);
  EXPECT_EQ(b.bytes, 248U);
  std::memset(b.at, 1, b.bytes);
  EXPECT_EQ(memory.stats().live, 248U);
  expect_sums(memory);
  void* const p = memory.allocate(10);
  EXPECT_EQ(memory.usable_size(p), mem::inspected() ? 10U : 248U) << "what was not asked for is hidden";
  EXPECT_EQ(memory.stats().live, 258U);
  EXPECT_EQ(memory.usable_size(p, 10), 248U);
  EXPECT_EQ(memory.stats().live, 2 * 248U);
  memory.deallocate(p, 248);
  memory.deallocate(b.at, b.bytes);
  EXPECT_EQ(memory.stats().live, 0U);
}

TEST_F(HeapResource, ExpandsAsFarAsItCan) {
  heap_resource memory(&upstream);
  void* const p = memory.allocate(100);
  void* const fence = memory.allocate(5000);
  void* const last = memory.allocate(100);
  EXPECT_EQ(memory.try_expand(p, 100, 200, 10'000), 100U) << "nothing is free above it";
  memory.deallocate(fence, 5000);
  (void)memory.trim();  // under an inspector it waits
  EXPECT_EQ(memory.try_expand(p, 100, 6000, 10'000), 100U);
  const std::size_t got = memory.try_expand(p, 100, 200, 10'000);
  EXPECT_GT(got, 5000U);
  EXPECT_LT(got, 5200U);
  std::memset(p, 2, got);
  expect_sums(memory);
  memory.deallocate(p, got);
  memory.deallocate(last, 100);
  EXPECT_EQ(memory.stats().live, 0U);
}

TEST_F(HeapResource, PutsBlocksAtAnyResidueWithinAnySpan) {
  heap_resource memory(&upstream);
  struct placed {
    std::size_t bytes, align;
    std::ptrdiff_t offset;
    std::size_t span;
  };
  std::vector<std::pair<void*, std::size_t>> blocks;
  for (const placed& w : {placed{100, 3, 1, 0}, placed{100, 12, -5, 4096}, placed{1000, 4096, -16, 0},
                          placed{60, 64, 4, 64}, placed{0, 7, 20, 3}, placed{10, 0, 99, 13}}) {
    void* const p = memory.allocate_aligned(w.bytes, w.align, w.offset, w.span);
    std::memset(p, 0x77, w.bytes);
    const auto at = reinterpret_cast<std::uintptr_t>(p);
    if (w.align != 0) {
      const auto align = static_cast<std::ptrdiff_t>(w.align);
      const auto residue = static_cast<std::uintptr_t>(((w.offset % align) + align) % align);
      EXPECT_EQ(at % w.align, residue);
    }
    if (w.span != 0 && w.bytes != 0) EXPECT_EQ(at / w.span, (at + w.bytes - 1) / w.span);
    EXPECT_TRUE(memory.holds(p));
    blocks.emplace_back(p, w.bytes);
    expect_sums(memory);
  }
  for (const auto& [p, bytes] : blocks) memory.deallocate(p, bytes);
  EXPECT_EQ(memory.stats().live_blocks, 0U);
  try {
    (void)memory.allocate_aligned(65, 0, 0, 64);
    ADD_FAILURE() << "no address would do";
  } catch (const allocation_error& error) {
    EXPECT_NE(std::string(error.what()).find("no address has that residue"), std::string::npos) << error.what();
  }
  EXPECT_THROW((void)memory.allocate_aligned(10, 64, 60, 64), allocation_error);
  EXPECT_THROW((void)memory.allocate_aligned(SIZE_MAX - 8, 64, -1, 0), allocation_error);
  expect_sums(memory);
}

TEST_F(HeapResource, ReallocatesInEveryDirection) {
  if (mem::inspected()) GTEST_SKIP() << blocks_wait;
  heap_resource memory(&upstream);
  auto* below = static_cast<std::byte*>(memory.allocate(1000));
  auto* p = static_cast<std::byte*>(memory.allocate(1000));
  auto* above = static_cast<std::byte*>(memory.allocate(1000));
  void* const last = memory.allocate(16);
  const auto holds = [&](std::byte v, std::size_t n) {
    return std::all_of(p, p + n, [&](std::byte b) { return b == v; });
  };
  std::memset(p, 1, 1000);
  EXPECT_EQ(memory.reallocate(p, 1000, 500), p) << "it fits";
  EXPECT_EQ(memory.reallocate(p, 500, 1000), p) << "into what it gave back";
  EXPECT_TRUE(holds(std::byte{1}, 500));
  memory.deallocate(above, 1000);
  (void)memory.trim();
  EXPECT_EQ(memory.reallocate(p, 1000, 1800), p) << "into what is free above";
  EXPECT_TRUE(holds(std::byte{1}, 500));
  std::memset(p, 3, 1800);
  memory.deallocate(below, 1000);
  (void)memory.trim();
  EXPECT_EQ(memory.reallocate(p, 1800, 2600), below) << "into what is free below";
  p = below;
  EXPECT_TRUE(holds(std::byte{3}, 1800));
  void* const moved = memory.reallocate(p, 2600, 20'000);
  EXPECT_NE(moved, p) << "a new block";
  p = static_cast<std::byte*>(moved);
  EXPECT_TRUE(holds(std::byte{3}, 1800));
  EXPECT_EQ(memory.stats().live, 20'016U);
  expect_sums(memory);
  memory.deallocate(p, 20'000);
  memory.deallocate(last, 16);
  void* const fresh = memory.reallocate(nullptr, 0, 10);
  EXPECT_EQ(memory.stats().live_blocks, 1U);
  memory.deallocate(fresh, 10);
}

TEST_F(HeapResource, LeavesTheBlockAsItWasWhenReallocationFails) {
  test::failing_resource failing(&upstream);
  heap_resource memory(static_cast<std::pmr::memory_resource*>(&failing));
  auto* const p = static_cast<std::byte*>(memory.allocate(1000));
  std::memset(p, 9, 1000);
  failing.from(1);
  const statistics before = memory.stats();
  EXPECT_THROW((void)memory.reallocate(p, 1000, 10 * mib), std::bad_alloc);
  EXPECT_EQ(memory.stats().live, before.live);
  EXPECT_EQ(memory.stats().failures, before.failures + 1);
  EXPECT_TRUE(std::all_of(p, p + 1000, [](std::byte b) { return b == std::byte{9}; }));
  expect_sums(memory);
  memory.deallocate(p, 1000);
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

TEST_F(HeapResource, MergesArenasThatTouchWhenTheProgramAgrees) {
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

TEST_F(HeapResource, CountersAddUpAtEveryStep) {
  heap_resource memory(&upstream, {.min_arena = 16 * kib, .keep_empty = 0});
  std::vector<std::pair<void*, std::size_t>> blocks;
  std::size_t frees = 0;
  std::uint64_t state = 12345;
  const auto next = [&] { return (state = state * 6364136223846793005U + 1442695040888963407U) >> 33U; };
  for (int i = 0; i < 5000; ++i) {
    if (blocks.size() < 50 || next() % 2 == 0) {
      const std::size_t bytes = next() % 3000;
      blocks.emplace_back(next() % 3 == 0 ? memory.allocate_aligned(bytes, next() % 100, 5, 0) : memory.allocate(bytes),
                          bytes);
    } else {
      std::swap(blocks[next() % blocks.size()], blocks.back());
      memory.deallocate(blocks.back().first, blocks.back().second);
      blocks.pop_back();
      ++frees;
    }
    const heap_figures now = memory.counters();
    ASSERT_EQ(now.arenas, now.used + now.free + now.overhead);
    ASSERT_EQ(now.frees, frees);
  }
  expect_sums(memory);
  memory.release();
}

TEST_F(HeapResource, MakesRoomUnderMaxBytesByGivingEmptyArenasBack) {
  heap_resource memory(&upstream,
                       {.min_arena = 64 * kib, .max_arena = 64 * kib, .max_bytes = 256 * kib, .keep_empty = 256 * kib});
  std::vector<void*> blocks;
  for (int i = 0; i < 3; ++i) blocks.push_back(memory.allocate(60 * kib));
  for (void* const p : blocks) memory.deallocate(p, 60 * kib);
  void* const large = memory.allocate(200 * kib);
  EXPECT_LE(memory.stats().upstream, 256 * kib);
  memory.deallocate(large, 200 * kib);
}

TEST_F(HeapResource, TellsForeignPointersWithoutReadingThem) {
  heap_resource memory(&upstream, {.checks = true});
  void* const p = memory.allocate(100);
  for (const std::uintptr_t foreign : {std::uintptr_t{16}, std::uintptr_t{0xdead'0000}, UINTPTR_MAX - 15}) {
    const void* const nowhere = reinterpret_cast<const void*>(foreign);
    EXPECT_FALSE(memory.holds(nowhere));
    EXPECT_TRUE(memory.check(nowhere).found());
  }
  set_misuse_handler(remember);
  reports.clear();
  memory.deallocate(reinterpret_cast<void*>(std::uintptr_t{0xdead'0000}), 8);
  EXPECT_EQ(reports.size(), 1U);
  EXPECT_TRUE(memory.holds(p));
  EXPECT_FALSE(memory.check(p).found());
  EXPECT_FALSE(memory.check(nullptr).found());
  memory.deallocate(p, 100);
  EXPECT_FALSE(memory.holds(p));
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
