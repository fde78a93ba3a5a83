// SPDX-License-Identifier: Apache-2.0
// Claims: ticks may come while threads work, in slabs, shared heaps, fragments, caches of items and a mempool whose caches
// come and go: nothing is lost, and all goes back in the end; a stack ticks what is below a lock under it.
#include <gtest/gtest.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <thread>
#include <type_traits>
#include <vector>

#include "tests/support/recording_resource.h"

import strata.mem;
import strata.pmr;

namespace strata::pmr {
namespace {

constexpr std::size_t kib = 1024;
constexpr std::size_t mib = kib * kib;
constexpr std::uint64_t ms = 1'000'000;
constexpr std::size_t decay_ms = 100;
constexpr std::uint64_t ahead = std::uint64_t{1} << 60;  // of the real clock, which is then left alone
constexpr std::uint64_t latest = 126;                    // ms: a decay, a quarter, and one look

template <class Options>
Options for_threads() {
  if constexpr (std::is_same_v<Options, fragments>) {
    return {.region_bytes = 256 * kib, .max_regions = 64, .decay_ms = 1};
  } else if constexpr (std::is_same_v<Options, cache>) {
    return {.item_bytes = 800, .decay_ms = 1};
  } else {
    return {.decay_ms = 1};
  }
}

template <class Options>
class DecayWhileThreadsWork : public testing::Test {};
using ForThreads = testing::Types<slabs, shared_heap, fragments, cache>;
TYPED_TEST_SUITE(DecayWhileThreadsWork, ForThreads);

TYPED_TEST(DecayWhileThreadsWork, LosesNothing) {
  test::recording_resource upstream;
  {
    typename TypeParam::template layer_over<test::recording_resource> memory(&upstream, for_threads<TypeParam>());
    std::atomic<int> running{3};
    std::vector<std::thread> threads;
    for (int n = 0; n < 3; ++n) {
      threads.emplace_back([&, n] {
        const std::size_t bytes = std::size_t{200} << n;
        for (int round = 0; round < 20; ++round) {
          std::vector<void*> blocks(2000);
          for (void*& p : blocks) p = memory.allocate(bytes, 8);
          for (void* const p : blocks) memory.deallocate(p, bytes, 8);
        }
        running.fetch_sub(1);
      });
    }
    for (std::uint64_t t = 0; running.load() != 0; ++t) {
      memory.tick(t * ms);
      std::this_thread::yield();
    }
    for (std::thread& t : threads) t.join();
    EXPECT_FALSE(memory.check().found());
    EXPECT_EQ(memory.stats().live, 0U);
  }
  EXPECT_EQ(upstream.live().bytes, 0U);
}

TEST(DecayWhileThreadsWorkInAMempool, LosesNothingWhileCachesComeAndGo) {
  stack memory{pages{}, mempool{.decay_ms = 0}};
  auto& pool = memory.top();
  std::atomic<int> running{3};
  std::vector<std::thread> threads;
  for (int n = 0; n < 3; ++n) {
    threads.emplace_back([&] {
      for (int round = 0; round < 30; ++round) {
        mempool_cache items(&pool, {.item_bytes = 128});
        std::vector<void*> taken(200);
        for (void*& p : taken) p = items.request();
        void* const small = pool.allocate(40);
        for (void* const p : taken) pool.deallocate(p);
        pool.deallocate(small);
      }
      running.fetch_sub(1);
    });
  }
  for (std::uint64_t t = 0; running.load() != 0; ++t) {
    memory.tick(t * ms);
    std::this_thread::yield();
  }
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(pool.stats().live, 0U);
  EXPECT_FALSE(pool.check().found());
}

TEST(DecayWhileThreadsWorkInAStack, GoesBelowALockUnderIt) {
  if (mem::inspected()) GTEST_SKIP() << "under an inspector blocks wait, and what they lie in is not unused";
  stack memory{pages{}, heap{.keep_empty = 64 * mib, .decay_ms = decay_ms}, synchronized{}};
  std::atomic<bool> done{false};
  std::thread other([&] {
    while (!done.load(std::memory_order_relaxed)) memory.deallocate(memory.allocate(300, 8), 300, 8);
  });
  void* const p = memory.allocate(8 * mib, 8);
  memory.deallocate(p, 8 * mib, 8);
  for (std::uint64_t t = 0; t <= 2 * latest; ++t) memory.tick(ahead + t * ms);  // the other looks by the real clock
  done.store(true, std::memory_order_relaxed);
  other.join();
  EXPECT_LE(memory.stats().upstream, mib);
}

}  // namespace
}  // namespace strata::pmr
