// SPDX-License-Identifier: Apache-2.0
// Claims: slots of all classes are owned once (random model); a store without spans says so and goes on once it has
// one; what is kept comes out first, is limited by class and in all, and what is wrong with it shows when it leaves;
// an emptied slab's units serve another class; counters agree with check() at every step; what is not a slot or is
// free is left out and named; spans found unused go with
// the look that found them, and delay no others; four threads taking and putting batches own each slot once.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <random>
#include <thread>
#include <unordered_set>
#include <utility>
#include <vector>

#include "tests/mem/slab_memory.h"

import strata.mem;

namespace strata::mem {
namespace {

using store_type = slab_store<threads::any>;

struct SlabStore : testing::Test {
  test::span_memory memory{span_bytes};
  std::unique_ptr<store_type> store = std::make_unique<store_type>();

  void* one(std::size_t c) {
    void* slot = nullptr;
    if (store->take(c, &slot, 1) == 0) {
      store->add_span(memory.get());
      EXPECT_EQ(store->take(c, &slot, 1), 1U);
    }
    return slot;
  }
};

TEST_F(SlabStore, SaysThatItNeedsASpan) {
  void* slot = nullptr;
  EXPECT_EQ(store->take(0, &slot, 1), 0U);
  store->add_span(memory.get());
  EXPECT_EQ(store->take(0, &slot, 1), 1U);
  EXPECT_EQ(store->check(), nullptr);
}

TEST_F(SlabStore, LetsGoWhatIsFoundUnusedAndTheRestInItsTime) {
  constexpr std::uint64_t ms = 1'000'000;
  constexpr std::size_t c = size_class::count - 1;
  store = std::make_unique<store_type>(slab_plan{.decay = decay_period(100)});
  std::vector<void*> slots;
  for (int i = 0; i < 2; ++i) {
    store->add_span(memory.get());
    for (void* slot = nullptr; store->take(c, &slot, 1) == 1;) slots.push_back(slot);
  }
  const auto let_go = [&](std::uint64_t at, std::size_t found) {
    const auto unused = store->let_go(at * ms, found);
    EXPECT_EQ(unused.refused.slot, nullptr);
    const std::size_t empty = store->empty_bytes();
    std::size_t spans = 0;
    while (store->remove_empty_span(empty - std::min(empty, unused.span_bytes)) != nullptr) ++spans;
    return spans;
  };
  std::size_t gone = 0;
  for (std::uint64_t t = 0; t < 100; t += 10) {
    if (t == 50) {
      for (int i = 0; i < 3; ++i) store->add_span(memory.get());
    }
    gone += let_go(t, 0);
  }
  EXPECT_EQ(gone, 0U);
  EXPECT_EQ(store->put_unused(c, slots.data(), slots.size()).slot, nullptr);
  EXPECT_EQ(store->empty_bytes(), 4 * span_bytes) << "one slab is held on to";
  EXPECT_EQ(let_go(100, span_bytes), 2U) << "with the span of that slab";
  for (std::uint64_t t = 110; t < 150; t += 10) gone += let_go(t, 0);
  EXPECT_EQ(gone, 0U);
  for (std::uint64_t t = 150; t <= 180; t += 10) gone += let_go(t, 0);
  EXPECT_EQ(gone, 3U);
  EXPECT_EQ(store->check(), nullptr);
}

TEST_F(SlabStore, GivesUnitsOfAnEmptiedSlabToAnotherClass) {
  constexpr std::size_t c = size_class::count - 1;  // four slots a slab of sixteen units, seven slabs a span
  std::vector<void*> slots;
  store->add_span(memory.get());
  for (void* slot = nullptr; store->take(c, &slot, 1) == 1;) slots.push_back(slot);
  EXPECT_EQ(slots.size(), 28U);
  EXPECT_EQ(store->put(c, slots.data(), slots.size()).slot, nullptr);
  std::size_t others = 0;
  for (void* slot = nullptr; store->take(c - 8, &slot, 1) == 1;) ++others;
  EXPECT_GE(others, 6U * 8) << "all slabs but the one the class holds on to";
  EXPECT_EQ(store->check(), nullptr);
}

TEST_F(SlabStore, GivesEmptySpansBackDownToTheLimit) {
  for (int i = 0; i < 3; ++i) store->add_span(memory.get());
  EXPECT_EQ(store->counters().span_bytes, 3 * span_bytes);
  EXPECT_NE(store->remove_empty_span(2 * span_bytes), nullptr);
  EXPECT_EQ(store->remove_empty_span(2 * span_bytes), nullptr);
  void* const slot = one(5);
  EXPECT_NE(store->remove_empty_span(0), nullptr);
  EXPECT_EQ(store->remove_empty_span(0), nullptr) << "the other has a slab";
  EXPECT_EQ(store->put(5, &slot, 1).slot, nullptr);
  store->drop_empty_slabs();
  EXPECT_NE(store->remove_empty_span(0), nullptr);
  EXPECT_EQ(store->counters().span_bytes, 0U);
}

TEST_F(SlabStore, LeavesOutWhatItCannotTakeBackAndNamesTheFirst) {
  void* const a = one(3);
  void* const b = one(3);
  void* const c = one(4);
  void* const batch[] = {a, a, c, static_cast<std::byte*>(b) + 8, b};
  const refused_slot refused = store->put(3, batch, 5);
  EXPECT_EQ(refused.slot, a);
  EXPECT_EQ(refused.fault, slab_fault::already_free);
  EXPECT_EQ(store->counters().slots, 1U);
  EXPECT_EQ(store->put(3, &c, 1).fault, slab_fault::other_class);
  EXPECT_EQ(store->check(), nullptr);
  EXPECT_EQ(store->put(4, &c, 1).slot, nullptr);
}

TEST_F(SlabStore, HandsOutWhatItKeptBeforeWhatLiesInSlabs) {
  store->add_span(memory.get());
  std::vector<void*> slots(100);
  ASSERT_EQ(store->take(3, slots.data(), 100), 100U);
  std::shuffle(slots.begin(), slots.end(), std::mt19937_64(3));
  EXPECT_EQ(store->keep(3, slots.data(), 100).slot, nullptr);
  EXPECT_EQ(store->counters().depot_slots, 100U);
  EXPECT_EQ(store->counters().slots, 0U);
  EXPECT_GT(store->counters().depot_bytes, 0U);
  EXPECT_EQ(store->check(), nullptr);
  std::vector<void*> again(120);
  ASSERT_EQ(store->take(3, again.data(), 120), 120U);
  EXPECT_TRUE(std::equal(slots.begin(), slots.end(), again.begin()));
  EXPECT_EQ(store->counters().slots, 120U);
  EXPECT_EQ(store->keep(3, again.data(), 120).slot, nullptr);
  EXPECT_EQ(store->drop_empty_slabs().slot, nullptr);
  EXPECT_EQ(store->counters().depot_slots, 0U);
  EXPECT_EQ(store->counters().depot_bytes, 0U);
  EXPECT_EQ(store->counters().slabs, 0U);
}

TEST_F(SlabStore, KeepsNoMoreThanItIsToldOfAllClassesAndOfOne) {
  constexpr std::size_t most = 3 * store_type::class_depot_bytes / 2;
  store = std::make_unique<store_type>(slab_plan{.depot_bytes = most});
  for (int i = 0; i < 3; ++i) store->add_span(memory.get());
  const std::size_t classes[] = {size_class::of(1000), size_class::of(2000)};
  std::size_t kept = 0;
  for (const std::size_t c : classes) {
    std::vector<void*> slots(2 * store_type::class_depot_bytes / size_class::bytes(c));
    ASSERT_EQ(store->take(c, slots.data(), slots.size()), slots.size());
    const std::size_t before = store->counters().depot_slots;
    for (void*& slot : slots) EXPECT_EQ(store->keep(c, &slot, 1).slot, nullptr);
    const std::size_t bytes = (store->counters().depot_slots - before) * size_class::bytes(c);
    EXPECT_LE(bytes, store_type::class_depot_bytes);
    kept += bytes;
    EXPECT_LE(kept, most);
    EXPECT_EQ(store->counters().slots, 0U);
    EXPECT_EQ(store->check(), nullptr);
  }
  EXPECT_GT(kept, most - 4096);
}

TEST_F(SlabStore, NamesWhatWasKeptTwiceWhenItReturnsToItsSlab) {
  void* const a = one(3);
  void* const twice[] = {a, a};
  EXPECT_EQ(store->keep(3, twice, 2).slot, nullptr);
  const refused_slot refused = store->drop_empty_slabs();
  EXPECT_EQ(refused.slot, a);
  EXPECT_EQ(refused.fault, slab_fault::already_free);
  EXPECT_EQ(store->check(), nullptr);
}

TEST_F(SlabStore, OwnsEachSlotOnceUnderRandomBatches) {
  const std::uint64_t seed = 4711;
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937_64 random(seed);
  std::vector<std::pair<std::size_t, void*>> live;
  std::unordered_set<void*> owned;
  std::size_t bytes = 0;
  for (int step = 0; step < 20'000; ++step) {
    const std::size_t c = random() % size_class::count;
    if (random() % 2 == 0 && bytes < (std::size_t{16} << 20)) {
      void* batch[64];
      const std::size_t wanted = 1 + random() % 8;
      std::size_t got = store->take(c, batch, wanted);
      if (got == 0) {
        store->add_span(memory.get());
        got = store->take(c, batch, wanted);
      }
      ASSERT_GT(got, 0U);
      for (std::size_t i = 0; i < got; ++i) {
        ASSERT_TRUE(owned.insert(batch[i]).second);
        live.emplace_back(c, batch[i]);
        bytes += size_class::bytes(c);
      }
    } else if (!live.empty()) {
      std::swap(live[random() % live.size()], live.back());
      const auto [cls, slot] = live.back();
      live.pop_back();
      owned.erase(slot);
      bytes -= size_class::bytes(cls);
      ASSERT_EQ((random() % 2 == 0 ? store->put(cls, &slot, 1) : store->keep(cls, &slot, 1)).slot, nullptr);
    }
    ASSERT_EQ(store->counters().slots, live.size());
    ASSERT_EQ(store->counters().slot_bytes, bytes);
    if (step % 200 == 0) ASSERT_EQ(store->check(), nullptr) << step;
  }
  for (const auto& [c, slot] : live) ASSERT_EQ(store->put(c, &slot, 1).slot, nullptr);
  store->drop_empty_slabs();
  EXPECT_EQ(store->counters().slabs, 0U);
  EXPECT_EQ(store->check(), nullptr);
}

TEST_F(SlabStore, FourThreadsOwnEachSlotOnce) {
  for (int i = 0; i < 8; ++i) store->add_span(memory.get());
  std::atomic<bool> shared{false};
  std::vector<std::thread> threads;
  for (unsigned t = 1; t <= 4; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937_64 random(t);
      for (int round = 0; round < 2'000; ++round) {
        const std::size_t c = random() % 24;
        void* batch[32];
        const std::size_t got = store->take(c, batch, 32);
        for (std::size_t i = 0; i < got; ++i) {
          show(batch[i], sizeof(unsigned));  // what an inspector is told of slots is the caller's affair
          *static_cast<unsigned*>(batch[i]) = t;
        }
        for (std::size_t i = 0; i < got; ++i) {
          if (*static_cast<unsigned*>(batch[i]) != t) shared = true;
          hide(batch[i], sizeof(unsigned));
        }
        if ((round % 2 == 0 ? store->put(c, batch, got) : store->keep(c, batch, got)).slot != nullptr) shared = true;
      }
    });
  }
  for (std::thread& t : threads) t.join();
  EXPECT_FALSE(shared);
  EXPECT_EQ(store->counters().slots, 0U);
  EXPECT_EQ(store->check(), nullptr);
}

}  // namespace
}  // namespace strata::mem
