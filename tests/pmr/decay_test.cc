// SPDX-License-Identifier: Apache-2.0
// Claims, of slabs and caches of items in both forms, of both heaps, of fragments and of stacks of them: with a decay, what is
// kept and was of no use goes back upstream after it and not before, spans, large blocks, depots, arenas, small blocks that
// wait, regions and chunks alike, and `kept` falls with it; a steady load is not disturbed; what was reserved stays; a decay of 0 is at once, and needs no tick; a clock
// that stands still or goes back lets nothing go early; without a decay a tick does nothing. An upstream that refuses after
// all has gone is an exception, and all works on. The first region of fragments stays; an idle thread's items go at its own
// tick; a pool in a mempool, the caches in it and pools of objects pass it on. A stack ticks all its layers.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <new>
#include <vector>

#include "tests/support/failing_resource.h"
#include "tests/support/recording_resource.h"

import strata.mem;
import strata.pmr;

namespace strata::pmr {
namespace {

constexpr const char* blocks_wait = "under an inspector blocks wait, and what they lie in is not unused";

constexpr std::size_t kib = 1024;
constexpr std::size_t mib = kib * kib;
constexpr std::uint64_t ms = 1'000'000;
constexpr std::size_t span = 2 * mib;
constexpr std::size_t decay_ms = 100;
constexpr std::uint64_t ahead = std::uint64_t{1} << 60;  // of the real clock, which is then left alone
constexpr std::uint64_t latest = 126;                    // ms: a decay, a quarter, and one look

struct any_size {
  static constexpr std::array sizes{std::size_t{48}, kib, 40 * kib, mib};
};
struct keeper_of_slabs : any_size {
  static constexpr std::size_t stays = span;  // the thread's cache lies in one
  template <class Options>
  static Options options() {
    return {.decay_ms = decay_ms};
  }
};
struct keeper_of_arenas : any_size {
  static constexpr std::size_t stays = 0;
  template <class Options>
  static Options options() {
    return {.keep_empty = 64 * mib, .decay_ms = decay_ms};
  }
};
struct keeper_of_regions {
  // Smaller ones are many, and every full region is looked through.
  static constexpr std::array sizes{kib, 40 * kib, mib};
  static constexpr std::size_t stays = 4 * mib;  // the first, and tables of all
  template <class Options>
  static Options options() {
    return {.max_regions = 64, .decay_ms = decay_ms};
  }
};
struct keeper_of_items {
  static constexpr std::array sizes{kib};
  static constexpr std::size_t stays =
      mib / 2;  // chunks in which the thread's cache has items, and what lies beside chunks
  template <class Options>
  static Options options() {
    return {.item_bytes = kib, .decay_ms = decay_ms};
  }
};
template <class Options, class Kind>
struct keeper : Kind {
  using type = typename Options::template layer_over<test::failing_resource>;
  static Options make() { return Kind::template options<Options>(); }
};

template <class Keeper>
struct Decays : testing::Test {
  test::recording_resource recorder;
  test::failing_resource upstream{&recorder};
  typename Keeper::type memory{&upstream, Keeper::make()};

  [[nodiscard]] std::size_t held() const { return recorder.live().bytes; }

  /// Blocks of so many bytes, as many as make 8 MiB.
  void use(std::size_t bytes) {
    std::vector<void*> blocks(8 * mib / bytes);
    for (void*& p : blocks) p = memory.allocate(bytes, 8);
    for (void* const p : blocks) memory.deallocate(p, bytes, 8);
  }
};
using Keepers = testing::Types<keeper<slabs, keeper_of_slabs>, keeper<unsynchronized_slabs, keeper_of_slabs>,
                               keeper<heap, keeper_of_arenas>, keeper<shared_heap, keeper_of_arenas>,
                               keeper<fragments, keeper_of_regions>, keeper<cache, keeper_of_items>,
                               keeper<unsynchronized_cache, keeper_of_items>>;
TYPED_TEST_SUITE(Decays, Keepers);

TYPED_TEST(Decays, AfterItsTimeAndNotBefore) {
  if (mem::inspected()) GTEST_SKIP() << blocks_wait;
  for (const std::size_t bytes : TypeParam::sizes) {
    SCOPED_TRACE(bytes);
    const std::uint64_t start = ahead + bytes * 1000 * ms;
    this->memory.tick(start - 1);
    this->use(bytes);
    const std::size_t before = this->held();
    const std::size_t kept = this->memory.stats().kept;
    for (std::uint64_t t = 0; t < decay_ms; ++t) {
      ASSERT_EQ(this->memory.tick(start + t * ms), 0U) << t;
      ASSERT_EQ(this->held(), before) << t;
    }
    std::size_t freed = 0;
    for (std::uint64_t t = decay_ms; t <= latest; ++t) freed += this->memory.tick(start + t * ms);
    EXPECT_EQ(freed, before - this->held());
    EXPECT_LE(this->held(), TypeParam::stays);
    EXPECT_LT(this->memory.stats().kept, kept);
    EXPECT_EQ(this->memory.stats().upstream, this->held());
    EXPECT_FALSE(this->memory.check().found());
  }
}

TYPED_TEST(Decays, WithoutDisturbingASteadyLoad) {
  this->memory.tick(ahead);
  this->use(kib);
  this->use(kib);
  const std::size_t requests = this->upstream.requests();
  const std::size_t held = this->held();
  for (std::uint64_t t = 1; t < 10; ++t) {
    this->memory.tick(ahead + t * 10 * ms);
    this->use(kib);
  }
  for (std::uint64_t t = 1; t < 10; ++t) {
    this->memory.tick(ahead + (1000 + t * 90) * ms);
    this->use(kib);
  }
  EXPECT_EQ(this->upstream.requests(), requests);
  EXPECT_EQ(this->held(), held);
}

TYPED_TEST(Decays, OnlyWhatASteadyLoadLeavesOver) {
  this->memory.tick(ahead);
  this->use(kib);
  void* const first = this->memory.allocate(kib, 8);
  std::size_t requests = 0;
  for (std::uint64_t t = 0; t < 60; ++t) {
    this->memory.tick(ahead + t * 10 * ms);
    std::vector<void*> blocks(2 * mib / kib);
    for (void*& p : blocks) p = this->memory.allocate(kib, 8);
    for (void* const p : blocks) this->memory.deallocate(p, kib, 8);
    if (t == 0) requests = this->upstream.requests();
  }
  // Under an inspector blocks lie in larger rooms, and some wait.
  EXPECT_LE(this->held(), (mem::inspected() ? 7 : 6) * mib) << "eight were held";
  EXPECT_GE(this->held(), 2 * mib);
  EXPECT_EQ(this->upstream.requests(), requests) << "what the load needs stayed";
  this->memory.deallocate(first, kib, 8);
}

TYPED_TEST(Decays, NotEarlyByAStrangeClock) {
  if (mem::inspected()) GTEST_SKIP() << blocks_wait;
  this->memory.tick(ahead);
  this->use(kib);
  const std::size_t before = this->held();
  for (int i = 0; i < 20; ++i) EXPECT_EQ(this->memory.tick(ahead + 5000 * ms), 0U) << "it stands still";
  EXPECT_EQ(this->memory.tick(ahead + 4000 * ms), 0U) << "it goes back";
  EXPECT_EQ(this->memory.tick(ahead + 4099 * ms), 0U);
  EXPECT_EQ(this->held(), before);
  EXPECT_NE(this->memory.tick(ahead + 4100 * ms), 0U);
  EXPECT_LE(this->held(), TypeParam::stays);
}

TYPED_TEST(Decays, AndServesAgainOrSaysThatUpstreamRefuses) {
  this->memory.tick(ahead);
  this->use(kib);
  for (std::uint64_t t = 1; t <= 1 + latest; ++t) this->memory.tick(ahead + t * ms);
  const auto fill = [&] {
    std::vector<void*> blocks;
    try {
      while (blocks.size() < 8 * kib) blocks.push_back(this->memory.allocate(kib, 8));
    } catch (const std::bad_alloc&) {
    }
    for (void* const p : blocks) this->memory.deallocate(p, kib, 8);
    return blocks.size();
  };
  this->upstream.from(1);
  EXPECT_LT(fill(), 8 * kib);
  EXPECT_GE(this->upstream.failures(), 1U);
  EXPECT_FALSE(this->memory.check().found());
  this->upstream.never();
  EXPECT_EQ(fill(), 8 * kib);
  EXPECT_FALSE(this->memory.check().found());
}

TYPED_TEST(Decays, FromOneTickWithTheRealClock) {
  this->memory.tick(ahead);
  this->use(kib);
  EXPECT_EQ(this->memory.tick(0), 0U);
  // The machine has been on for longer than that.
  EXPECT_NE(this->memory.tick(), 0U);
}

template <class Options>
class DecaysAtOnce : public testing::Test {};
using AllOptions = testing::Types<slabs, unsynchronized_slabs, heap, shared_heap>;
TYPED_TEST_SUITE(DecaysAtOnce, AllOptions);

TYPED_TEST(DecaysAtOnce, WithoutATick) {
  if (mem::inspected()) GTEST_SKIP() << blocks_wait;
  test::recording_resource upstream;
  typename TypeParam::template layer_over<test::recording_resource> memory(&upstream, {.decay_ms = 0});
  std::vector<void*> blocks(16 * kib);
  for (void*& p : blocks) p = memory.allocate(kib, 8);
  EXPECT_GE(upstream.live().bytes, 16 * mib);
  for (void* const p : blocks) memory.deallocate(p, kib, 8);
  EXPECT_LE(upstream.live().bytes, 2 * span);
  memory.tick(1);
  EXPECT_LE(upstream.live().bytes, span);
}

TYPED_TEST(DecaysAtOnce, NothingUnlessAsked) {
  test::recording_resource upstream;
  typename TypeParam::template layer_over<test::recording_resource> memory(&upstream);
  for (const std::size_t bytes : {kib, 200 * kib}) memory.deallocate(memory.allocate(bytes, 8), bytes, 8);
  const std::size_t held = upstream.live().bytes;
  EXPECT_GT(held, 0U);
  for (std::uint64_t t = 0; t < 10; ++t) EXPECT_EQ(memory.tick(t * 1'000'000 * ms), 0U);
  EXPECT_EQ(memory.tick(), 0U);
  EXPECT_EQ(upstream.live().bytes, held);
}

TEST(DecayOfFragments, IsAtOnceWithoutATickAndLeavesTheFirst) {
  if (mem::inspected()) GTEST_SKIP() << blocks_wait;
  test::recording_resource upstream;
  fragment_resource memory(&upstream, fragments{.max_regions = 64, .decay_ms = 0});
  std::vector<void*> blocks(16 * kib);
  for (void*& p : blocks) p = memory.allocate(kib, 8);
  EXPECT_GE(upstream.live().bytes, 16 * mib);
  for (void* const p : blocks) memory.deallocate(p, kib, 8);
  EXPECT_LE(upstream.live().bytes, 4 * mib);
  EXPECT_EQ(memory.stats().kept, 2 * mib);
  memory.tick(1);
  EXPECT_EQ(memory.capacity(), 2 * mib);
}

// Where there is one region, nothing can go: the clock is not read either.
TEST(DecayOfFragments, IsNothingWithOneRegion) {
  test::recording_resource upstream;
  fragment_resource memory(&upstream, fragments{.decay_ms = 0});
  memory.deallocate(memory.allocate(kib, 8), kib, 8);
  EXPECT_EQ(memory.tick(ahead), 0U);
  EXPECT_EQ(memory.capacity(), 2 * mib);
}

TEST(DecayOfFragments, CountsWhatRestsAsFree) {
  if (mem::inspected()) GTEST_SKIP() << blocks_wait;
  test::recording_resource upstream;
  fragment_resource memory(&upstream, fragments{.max_regions = 2, .decay_ms = decay_ms});
  memory.tick(ahead);
  void* const first = memory.allocate(2 * mib, 8);
  memory.deallocate(memory.allocate(2 * mib, 8), 2 * mib, 8);
  memory.tick(ahead);
  EXPECT_EQ(memory.left().free, 2 * mib);
  EXPECT_EQ(memory.largest_free(), 2 * mib);
  EXPECT_FALSE(memory.check().found());
  const std::size_t asked = upstream.request_count();
  void* const second = memory.allocate(2 * mib, 8);
  EXPECT_EQ(upstream.request_count(), asked) << "it is woken";
  EXPECT_EQ(memory.left().free, 0U);
  EXPECT_FALSE(memory.check().found());
  memory.deallocate(first, 2 * mib, 8);
  memory.deallocate(second, 2 * mib, 8);
}

TEST(DecayOfItems, IsAtOnceWhereACacheRunsOver) {
  if (mem::inspected()) GTEST_SKIP() << blocks_wait;
  test::recording_resource upstream;
  named_cache memory(&upstream, cache{.item_bytes = kib, .decay_ms = 0});
  std::vector<void*> items(16 * kib);
  for (void*& p : items) p = memory.request();
  EXPECT_GE(upstream.live().bytes, 16 * mib);
  for (void* const p : items) memory.recycle(p);
  EXPECT_LE(upstream.live().bytes, mib);
  memory.tick(1);
  memory.tick(2);
  EXPECT_EQ(memory.chunks(), 0U);
}

TEST(DecayOfItems, EmptiesTheCacheOfAThreadThatIsIdle) {
  if (mem::inspected()) GTEST_SKIP() << blocks_wait;
  test::recording_resource upstream;
  object_pool<std::array<char, 200>> pool(&upstream, {.decay_ms = decay_ms});
  auto* const used = pool.construct();
  auto* const not_used = pool.construct();
  std::uint64_t t = 0;
  pool.tick(ahead);
  for (t = 1; t < 10; ++t) {
    pool.destroy(pool.construct());
    pool.tick(ahead + t * decay_ms * ms);
    ASSERT_EQ(pool.chunks(), 1U);
  }
  pool.destroy(used);
  pool.destroy(not_used);
  // It is seen to be idle, its items come back, and then they are of no use for a decay.
  for (const std::uint64_t until = 10 * decay_ms + 2 * latest; t < until; ++t) pool.tick(ahead + t * ms + 900 * ms);
  EXPECT_EQ(pool.chunks(), 0U);
}

struct rare : pooled<rare, decay_ms> {
  std::array<char, 100> content;
};

TEST(DecayOfItems, IsForPooledObjectsToo) {
  if (mem::inspected()) GTEST_SKIP() << blocks_wait;
  rare::pool().tick(ahead);
  std::vector<rare*> all(10'000);
  for (rare*& one : all) one = new rare;
  for (rare* const one : all) delete one;
  const std::size_t chunks = rare::pool().chunks();
  EXPECT_GT(chunks, 10U);
  for (std::uint64_t t = 1; t < 4 * latest; ++t) rare::pool().tick(ahead + t * ms);
  EXPECT_EQ(rare::pool().chunks(), 0U);
}

TEST(DecayOfAMempool, ReachesItsSmallHeapAndItsCaches) {
  if (mem::inspected()) GTEST_SKIP() << blocks_wait;
  test::recording_resource upstream;
  mempool_resource pool(&upstream, mempool{.heaps = 1, .decay_ms = decay_ms});
  const std::size_t free = pool.segment().stats().kept;
  mempool_cache items(&pool, {.item_bytes = 512});
  pool.tick(ahead);
  std::vector<void*> taken(500);
  for (void*& p : taken) p = items.request();
  for (void* const p : taken) items.recycle(p);
  pool.deallocate(pool.allocate(100));
  const std::size_t page = pool.segment().page_bytes();
  std::size_t gone = 0;
  for (std::uint64_t t = 1; t < decay_ms; ++t) gone += pool.tick(ahead + t * ms);
  EXPECT_EQ(gone, 0U);
  for (std::uint64_t t = decay_ms; t < 3 * latest; ++t) gone += pool.tick(ahead + t * ms);
  EXPECT_GE(gone, 500 * 512 + page);
  EXPECT_EQ(items.chunks(), 0U);
  EXPECT_EQ(pool.stats().kept, 0U);
  EXPECT_GE(pool.segment().stats().kept + 64 * kib, free) << "but for the cache's books";
  EXPECT_FALSE(pool.check().found());
}

TEST(DecayOfSlabs, LeavesWhatWasReserved) {
  test::recording_resource upstream;
  slab_resource memory(&upstream, slabs{.decay_ms = decay_ms});
  memory.reserve(6 * mib);
  const std::size_t held = upstream.live().bytes;
  for (std::uint64_t t = 0; t < 10; ++t) EXPECT_EQ(memory.tick(t * decay_ms * ms), 0U);
  EXPECT_EQ(upstream.live().bytes, held);
}

TEST(DecayOfAStack, ReachesEveryLayerTopFirst) {
  if (mem::inspected()) GTEST_SKIP() << blocks_wait;
  stack memory{pages{}, shared_heap{.keep_empty = 64 * mib, .decay_ms = decay_ms}, slabs{.decay_ms = decay_ms}};
  memory.tick(ahead);
  std::vector<void*> blocks(8 * kib);
  for (void*& p : blocks) p = memory.allocate(kib, 8);
  for (void* const p : blocks) memory.deallocate(p, kib, 8);
  const std::size_t before = memory.stats().upstream;
  EXPECT_GE(before, 8 * mib);
  std::uint64_t t = 0;
  for (; t < decay_ms; ++t) memory.tick(ahead + (1 + t) * ms);
  EXPECT_EQ(memory.stats().upstream, before);
  // What the slabs give the heap keeps for as long again.
  for (; t <= 2 * latest; ++t) memory.tick(ahead + (1 + t) * ms);
  EXPECT_LE(memory.stats().upstream, 5 * mib) << "what holds the thread's cache";
  memory.tick();
  EXPECT_FALSE(memory.check().found());
}

}  // namespace
}  // namespace strata::pmr
