// SPDX-License-Identifier: Apache-2.0
// Claims: a refill asks for a span when there is none; blocks come out in address order; a full magazine gives its
// older half back; figures add up over threads that live and threads that ended; a thread without a number works on the
// store; clear() voids all and leaves no cache. What the caches of idle threads hold is taken by a trim, and by a look when
// it was of no use for a decay, not before; those threads then go on as if nothing had happened. Where the system has no
// barrier for all threads they keep it. In a child the caches of threads it does not have are emptied. Threads that
// work while another trims all the time lose no block, and get none twice.
#include <gtest/gtest.h>

#include <atomic>
#include <barrier>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <random>
#include <thread>
#include <vector>

#include "tests/mem/slab_memory.h"
#include "tests/os_script/os_script.h"
#include "tests/support/shared_memory.h"

import strata.mem;

namespace strata::mem {
namespace {

const std::size_t c20 = size_class::of(20);
const std::size_t c70 = size_class::of(70);
const std::size_t c90 = size_class::of(90);
const std::size_t c64 = size_class::of(64);

using slabs_type = cached_slabs<threads::any>;

struct CachedSlabs : testing::Test {
  test::span_memory memory{span_bytes};
  slabs_type slabs;

  void* get(std::size_t c, std::size_t bytes) {
    refused_slot refused;
    void* p = slabs.allocate(c, bytes);
    while (p == nullptr && (p = slabs.refill(c, bytes, refused)) == nullptr) slabs.store().add_span(memory.get());
    return p;
  }
  void put(std::size_t c, void* p, std::size_t bytes) {
    if (!slabs.deallocate(c, p, bytes)) EXPECT_EQ(slabs.flush(c, p, bytes).slot, nullptr);
  }
  refused_slot none;
  void TearDown() override { (void)slabs.clear(); }
};

TEST_F(CachedSlabs, AsksForASpanFirst) {
  EXPECT_EQ(slabs.allocate(0, 16), nullptr);
  EXPECT_EQ(slabs.refill(0, 16, none), nullptr);
  slabs.store().add_span(memory.get());
  EXPECT_NE(slabs.refill(0, 16, none), nullptr);
}

TEST_F(CachedSlabs, HandsOutRisingAddresses) {
  auto* last = static_cast<std::byte*>(get(c64, 64));
  std::size_t rising = 0;
  for (int i = 0; i < 1000; ++i) {
    auto* const p = static_cast<std::byte*>(get(c64, 64));
    rising += p == last + 64 ? 1 : 0;
    last = p;
  }
  EXPECT_GE(rising, 980U) << "64 in a row from each refill";
}

TEST_F(CachedSlabs, AFullMagazineGivesItsOlderHalfBack) {
  std::vector<void*> blocks;
  for (int i = 0; i < 500; ++i) blocks.push_back(get(c64, 64));
  const std::size_t before = slabs.store().counters().slots;
  for (void* const p : blocks) put(c64, p, 64);
  EXPECT_LE(slabs.store().counters().slots, before - 500 + thread_cache::capacity(c64));
  EXPECT_EQ(get(c64, 64), blocks.back()) << "what was freed last comes first";
  put(c64, blocks.back(), 64);
  EXPECT_EQ(slabs.count().live, 0U);
}

TEST_F(CachedSlabs, AddsUpThreadsThatLiveAndThreadsThatEnded) {
  std::vector<void*> blocks;
  std::thread([&] {
    for (int i = 0; i < 1000; ++i) blocks.push_back(get(c90, 90));
  }).join();
  EXPECT_EQ(slabs.count().live, 90'000U);
  EXPECT_EQ(slabs.count().caches, 0U) << "its cache went with it";
  for (void* const p : blocks) put(c90, p, 90);
  const slabs_type::figures n = slabs.count();
  EXPECT_EQ(n.live, 0U);
  EXPECT_EQ(n.allocations, 1000U);
  EXPECT_EQ(n.deallocations, 1000U);
  EXPECT_GT(n.caches, 0U);
  EXPECT_EQ(slabs.trim().slot, nullptr);
  EXPECT_EQ(slabs.store().counters().slots, 1U) << "the cache itself";
  EXPECT_EQ(slabs.store().check(), nullptr);
}

TEST_F(CachedSlabs, WorksWithoutANumber) {
  std::deque<slabs_type> others;
  for (std::size_t i = 0; i < cache_owner::max_owners; ++i) others.emplace_back();
  slabs_type& last = others.back();
  last.store().add_span(memory.get());
  void* const p = last.refill(c70, 70, none);
  ASSERT_NE(p, nullptr);
  EXPECT_EQ(last.allocate(c70, 70), nullptr);
  EXPECT_EQ(last.count().live, 70U);
  EXPECT_EQ(last.count().caches, 0U);
  EXPECT_FALSE(last.deallocate(c70, p, 70));
  EXPECT_EQ(last.flush(c70, p, 70).slot, nullptr);
  EXPECT_EQ(last.count().live, 0U);
  EXPECT_EQ(last.store().counters().slots, 0U);
  for (slabs_type& each : others) (void)each.clear();
}

TEST_F(CachedSlabs, NamesABlockFreedTwiceWhenItReachesItsSlab) {
  void* const p = get(c64, 64);
  put(c64, p, 64);
  put(c64, p, 64);
  const refused_slot refused = slabs.trim();
  EXPECT_EQ(refused.slot, p);
  EXPECT_EQ(refused.fault, slab_fault::already_free);
}

TEST_F(CachedSlabs, ClearVoidsEverything) {
  for (int i = 0; i < 100; ++i) (void)get(c20, 20);
  EXPECT_NE(slabs.clear(), nullptr);
  EXPECT_EQ(slabs.allocate(c20, 20), nullptr);
  EXPECT_EQ(slabs.count().live, 0U);
  EXPECT_EQ(slabs.count().allocations, slabs.count().deallocations);
  EXPECT_EQ(slabs.store().counters().span_bytes, 0U);
  EXPECT_NE(get(c20, 20), nullptr);
}

// Threads that have allocated and freed, and then wait, alive, until they are called again.
struct IdleThreads : CachedSlabs {
  static constexpr int crew = 8;
  std::barrier<> all{crew + 1};
  std::vector<std::thread> threads;
  std::atomic<bool> right{true};

  void work() {
    std::vector<void*> blocks;
    for (const std::size_t c : {c64, c90, c20}) {
      for (int i = 0; i < 300; ++i) blocks.push_back(get(c, 20));
      for (void*& p : blocks) put(c, p, 20);
      blocks.clear();
    }
  }
  void SetUp() override {
    for (int i = 0; i < 2; ++i) slabs.store().add_span(memory.get());  // enough for all
    for (int i = 0; i < crew; ++i) {
      threads.emplace_back([this] {
        work();
        all.arrive_and_wait();
        all.arrive_and_wait();
        work();
      });
    }
    all.arrive_and_wait();
  }
  void TearDown() override {
    all.arrive_and_wait();
    for (std::thread& t : threads) t.join();
    EXPECT_EQ(slabs.count().live, 0U);
    EXPECT_EQ(slabs.trim().slot, nullptr);
    EXPECT_EQ(slabs.store().counters().slots, caches());
    EXPECT_EQ(slabs.store().check(), nullptr);
    CachedSlabs::TearDown();
  }
  [[nodiscard]] std::size_t caches() const {
    return slabs.count().caches / size_class::bytes(size_class::of(thread_cache::bytes()));
  }
};

TEST_F(IdleThreads, ATrimTakesWhatTheirCachesHold) {
  EXPECT_EQ(caches(), 8U);
  EXPECT_GT(slabs.store().counters().slots, caches() + 8 * 8);
  EXPECT_EQ(slabs.trim().slot, nullptr);
  EXPECT_EQ(slabs.store().counters().slots, caches()) << "the caches themselves are all there is";
  EXPECT_EQ(slabs.count().allocations, 8U * 900);
}

TEST_F(IdleThreads, KeepTheirCachesWhereThereIsNoBarrier) {
  const std::size_t before = slabs.store().counters().slots;
  {
    test::os_script script;
    script.fail_always(test::os_call::membarrier, ENOSYS);
    EXPECT_EQ(slabs.trim().slot, nullptr);
    if (script.calls(test::os_call::membarrier) == 0) GTEST_SKIP() << "another system";
  }
  EXPECT_EQ(slabs.store().counters().slots, before);
}

TEST_F(IdleThreads, AChildEmptiesTheCachesOfThreadsItDoesNotHave) {
  EXPECT_EQ(test::in_child([&] {
              if (slabs.trim().slot != nullptr) return 1;
              if (slabs.store().counters().slots != caches()) return 2;
              return slabs.store().check() == nullptr ? 0 : 3;
            }),
            0);
}

TEST(CachedSlabsDecay, TakesWhatIdleThreadsHeldForAWholeDecay) {
  test::span_memory memory{span_bytes};
  constexpr decay_period decay(100);
  cached_slabs<threads::any> slabs({.decay = decay});
  slabs.store().add_span(memory.get());
  std::barrier all(2);
  const auto use = [&] {
    refused_slot refused;
    void* const p = slabs.refill(c64, 64, refused);
    EXPECT_EQ(slabs.flush(c64, p, 64).slot, nullptr);
  };
  std::thread other([&] {
    use();
    all.arrive_and_wait();
    all.arrive_and_wait();
    use();
    all.arrive_and_wait();
    all.arrive_and_wait();
  });
  const auto held = [&] {
    return slabs.store().counters().slots -
           slabs.count().caches / size_class::bytes(size_class::of(thread_cache::bytes()));
  };
  all.arrive_and_wait();
  std::uint64_t now = 1;
  (void)slabs.let_go_of_idle(now);
  const std::size_t before = held();
  EXPECT_GT(before, 0U);
  (void)slabs.let_go_of_idle(now + decay.ns() - 1);
  EXPECT_EQ(held(), before) << "not yet";
  all.arrive_and_wait();
  all.arrive_and_wait();
  now += decay.ns();
  (void)slabs.let_go_of_idle(now);
  EXPECT_EQ(held(), before) << "used meanwhile";
  (void)slabs.let_go_of_idle(now + decay.ns());
  EXPECT_EQ(held(), 0U);
  all.arrive_and_wait();
  other.join();
  (void)slabs.clear();
}

TEST_F(CachedSlabs, LosesNoBlockWhileAnotherThreadTrimsAllTheTime) {
  constexpr std::uintptr_t crew = 3;
  constexpr int steps = 20'000;
  std::atomic<bool> wrong{false};
  std::atomic<std::uintptr_t> working{crew};
  std::mutex for_spans;
  const auto take = [&](std::size_t c) {
    refused_slot refused;
    void* p = slabs.allocate(c, 20);
    while (p == nullptr && (p = slabs.refill(c, 20, refused)) == nullptr) {
      const std::lock_guard one(for_spans);
      slabs.store().add_span(memory.get());
    }
    show(p, 20);
    return static_cast<std::uintptr_t*>(p);
  };
  std::vector<std::thread> owners;
  for (std::uintptr_t t = 1; t <= crew; ++t) {
    owners.emplace_back([&, t] {
      std::mt19937 random(static_cast<unsigned>(t));
      struct mine {
        std::uintptr_t* at;
        std::size_t c;
      };
      std::vector<mine> blocks;
      const auto give = [&](std::size_t i) {
        const mine block = blocks[i];
        blocks[i] = blocks.back();
        blocks.pop_back();
        if (*block.at != t) wrong = true;
        *block.at = 0;
        if (!slabs.deallocate(block.c, block.at, 20) && slabs.flush(block.c, block.at, 20).slot != nullptr)
          wrong = true;
      };
      for (int i = 0; i < steps; ++i) {
        if (blocks.size() > 40 || (random() % 2 == 0 && !blocks.empty())) {
          give(random() % blocks.size());
        } else {
          const std::size_t c = random() % 2 == 0 ? c20 : c70;
          blocks.push_back({take(c), c});
          *blocks.back().at = t;
        }
      }
      while (!blocks.empty()) give(0);
      --working;
    });
  }
  while (working != 0) {
    if (slabs.trim().slot != nullptr) wrong = true;
  }
  for (std::thread& t : owners) t.join();
  EXPECT_FALSE(wrong);
  EXPECT_EQ(slabs.count().live, 0U);
  EXPECT_EQ(slabs.trim().slot, nullptr);
  EXPECT_EQ(slabs.store().counters().slots, 0U);
  EXPECT_EQ(slabs.store().check(), nullptr);
}

}  // namespace
}  // namespace strata::mem
