// SPDX-License-Identifier: Apache-2.0
// Claims, of both forms: what cannot be is refused when constructed; a slot needs a chunk and its words, and whichever
// upstream refuses, nothing has changed; a refused cache harms nobody and is not asked for again before the next chunk;
// expand brings what was asked; trim gives back chunks that are free and no other, so often as one likes; release gives
// everything back and all works on. With a decay, whatever was asked for before and however often it is ticked: a chunk that no
// steady load needs goes within a decay and two quarters and not before the decay, no other does, upstream is not asked for one
// that went too early, and what was expanded stays until trimmed. Of the shared form: trimming and ticking while others work
// loses no slot; thread after thread leaves no growth.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <new>
#include <random>
#include <stdexcept>
#include <thread>
#include <vector>

#include "tests/support/failing_resource.h"
#include "tests/support/recording_resource.h"

import strata.mem;
import strata.pmr;

namespace strata::pmr {
namespace {

constexpr std::size_t chunk = 4096;
constexpr std::size_t item = 64;
constexpr std::size_t per_chunk = chunk / item;

template <mem::threads Threads>
struct form {
  static constexpr mem::threads value = Threads;
};

template <class Form>
struct SlotSupply : testing::Test {
  using supply = slot_supply<test::failing_resource, Form::value>;

  test::recording_resource recorder;
  test::failing_resource upstream{&recorder};
  supply slots{"test", &upstream, mem::slot_shape::of(item, 8, chunk, 1)};

  std::size_t chunks() const { return slots.slots().pool().chunks().count(); }
  void expect_sums() const {
    const auto figures = slots.count();
    EXPECT_EQ(figures.upstream, recorder.live().bytes);
    EXPECT_EQ(figures.kept + figures.out * item, chunks() * chunk);
    EXPECT_EQ(slots.slots().pool().check(), nullptr);
  }
};
using Forms = testing::Types<form<mem::threads::any>, form<mem::threads::one>>;
TYPED_TEST_SUITE(SlotSupply, Forms);

/// Has to be told what it can align.
struct page_aligner : layer {
  static constexpr bool thread_safe = true;
  static constexpr std::size_t max_alignment = 4096;
  static constexpr bool zeroed = false;
  static constexpr bool can_release = false;
};

TYPED_TEST(SlotSupply, RefusesWhatCannotBe) {
  using over_pages = slot_supply<page_aligner, TypeParam::value>;
  EXPECT_THROW(over_pages("test", nullptr, mem::slot_shape::of(item, 8, 8192, 1)), std::invalid_argument);
  EXPECT_NO_THROW(over_pages("test", nullptr, mem::slot_shape::of(item, 8, 4096, 1)));
  EXPECT_THROW(over_pages("test", nullptr, mem::slot_shape::of(std::size_t{1} << 40, 8, 4096, 1)),
               std::invalid_argument);
}

TYPED_TEST(SlotSupply, ChangesNothingWhenUpstreamRefusesAnyPart) {
  // Past eight chunks a table is needed too.
  std::vector<void*> taken;
  while (this->chunks() < 8) taken.push_back(this->slots.take(item));
  while (this->slots.count().kept != 0) taken.push_back(this->slots.take(item));
  const test::balance before = this->recorder.live();
  for (std::size_t part = 1; part <= 3; ++part) {  // chunk, words, table
    this->upstream.at(part);
    EXPECT_THROW((void)this->slots.take(item), std::bad_alloc);
    EXPECT_EQ(this->recorder.live(), before) << part;
    EXPECT_EQ(this->slots.count().failures, part);
    this->expect_sums();
  }
  this->upstream.never();
  EXPECT_NE(this->slots.take(item), nullptr);
  EXPECT_EQ(this->chunks(), 9U);
  this->expect_sums();
}

TYPED_TEST(SlotSupply, WorksOnWithoutACache) {
  this->upstream.at(3);  // chunk, words, cache
  void* const p = this->slots.take(item);
  EXPECT_EQ(this->recorder.live().blocks, 2U);
  this->upstream.never();
  const std::size_t asked = this->upstream.requests();
  for (std::size_t i = 1; i < per_chunk; ++i) (void)this->slots.take(item);
  EXPECT_EQ(this->upstream.requests(), asked) << "it is asked for again";
  EXPECT_EQ(this->slots.put(p, item), mem::slot_fault::none);
  EXPECT_EQ(this->slots.take(item), p);
  EXPECT_EQ(this->slots.count().failures, 0U);
  (void)this->slots.take(item);
  EXPECT_GE(this->recorder.live().blocks, 5U) << "with the next chunk comes a cache";
  this->expect_sums();
}

TYPED_TEST(SlotSupply, ExpandsByWhatIsAsked) {
  this->slots.expand(0);
  EXPECT_EQ(this->chunks(), 0U);
  this->slots.expand(1);
  this->slots.expand(1);
  EXPECT_EQ(this->chunks(), 2U) << "whatever is free already";
  this->slots.expand(2 * per_chunk + 1);
  EXPECT_EQ(this->chunks(), 5U);
  const std::size_t limit = this->recorder.live().bytes;
  this->upstream.from(9);
  EXPECT_THROW(this->slots.expand(std::numeric_limits<std::size_t>::max()), std::bad_alloc);
  EXPECT_GT(this->recorder.live().bytes, limit) << "what was got stays";
  this->expect_sums();
}

TYPED_TEST(SlotSupply, TrimsChunksThatAreFree) {
  EXPECT_EQ(this->slots.trim(), 0U);
  std::vector<void*> taken;
  for (std::size_t i = 0; i < 10 * per_chunk; ++i) taken.push_back(this->slots.take(item));
  EXPECT_EQ(this->slots.trim(), 0U);
  void* const kept = taken[5 * per_chunk];
  for (void* const p : taken) {
    if (p != kept) ASSERT_EQ(this->slots.put(p, item), mem::slot_fault::none);
  }
  EXPECT_EQ(this->slots.trim(), 9 * chunk);
  EXPECT_EQ(this->chunks(), 1U);
  EXPECT_EQ(this->slots.trim(), 0U);
  this->expect_sums();
  EXPECT_EQ(this->slots.put(taken[0], item), mem::slot_fault::foreign);

  const std::size_t words = this->recorder.live().bytes - chunk;
  for (std::size_t round = 0; round < 3; ++round) {
    taken.clear();
    for (std::size_t i = 1; i < 10 * per_chunk; ++i) {
      taken.push_back(this->slots.take(item));
      std::memset(taken.back(), 0x5A, item);
    }
    this->expect_sums();
    for (void* const p : taken) ASSERT_EQ(this->slots.put(p, item), mem::slot_fault::none);
    EXPECT_EQ(this->slots.trim(), 9 * chunk);
  }
  EXPECT_EQ(this->recorder.live().bytes - chunk, words) << "what lies beside chunks is used again";
  EXPECT_EQ(this->slots.put(kept, item), mem::slot_fault::none);
  EXPECT_EQ(this->slots.trim(), chunk);
  EXPECT_EQ(this->slots.count().kept, 0U);
  this->expect_sums();
}

TYPED_TEST(SlotSupply, ReleasesEverythingAndWorksOn) {
  for (int round = 0; round < 3; ++round) {
    for (std::size_t i = 0; i < 20 * per_chunk; ++i) (void)this->slots.take(10);
    EXPECT_EQ(this->slots.count().live, 20 * per_chunk * 10);
    this->expect_sums();
    this->slots.release();
    EXPECT_EQ(this->recorder.live().blocks, 0U);
    EXPECT_EQ(this->slots.count().live, 0U);
    EXPECT_EQ(this->slots.count().out, 0U);
    EXPECT_EQ(this->slots.count().upstream, 0U);
  }
  EXPECT_EQ(this->slots.count().taken, 60 * per_chunk);
  EXPECT_EQ(this->slots.count().peak, 20 * per_chunk * 10);
}

constexpr std::uint64_t ms = 1'000'000;

template <class Form>
struct SlotSupplyThatDecays : SlotSupply<Form> {
  static constexpr std::uint64_t period = 40;
  // Hidden, so without caches of threads: what is out is out, what is not is in the pool.
  typename SlotSupply<Form>::supply slots{"test", &this->upstream, mem::slot_shape::of(item, 8, chunk, 1), true,
                                          mem::decay_period(period)};
  std::vector<void*> taken;

  std::size_t chunks() const { return slots.slots().pool().chunks().count(); }
  void take(std::size_t count) {
    while (taken.size() < count) taken.push_back(slots.take(item));
  }
  void leave(std::size_t count) {
    for (; taken.size() > count; taken.pop_back()) ASSERT_EQ(slots.put(taken.back(), item), mem::slot_fault::none);
  }
  ~SlotSupplyThatDecays() override { leave(0); }
};
TYPED_TEST_SUITE(SlotSupplyThatDecays, Forms);

constexpr std::uint64_t ahead = std::uint64_t{1} << 60;  // of the real clock, which is then left alone

TYPED_TEST(SlotSupplyThatDecays, GivesBackWhatNobodyNeeded) {
  this->slots.tick(ahead);
  this->take(10 * per_chunk);
  this->leave(per_chunk / 2);
  for (std::uint64_t t = 1; t < this->period; ++t) ASSERT_EQ(this->slots.tick(ahead + t * ms), 0U) << t;
  std::size_t gone = 0;
  for (std::uint64_t t = this->period; t <= this->period * 5 / 4 + 1; ++t) gone += this->slots.tick(ahead + t * ms);
  EXPECT_EQ(gone, 9 * chunk);
  EXPECT_EQ(this->chunks(), 1U);
  this->take(4 * per_chunk);
  EXPECT_EQ(this->slots.slots().pool().check(), nullptr);
}

TYPED_TEST(SlotSupplyThatDecays, WakesWhatRestsRatherThanAskUpstream) {
  this->slots.tick(ahead);
  this->take(8 * per_chunk);
  const std::size_t asked = this->upstream.requests();
  for (std::uint64_t t = 1; t < 20; ++t) {
    this->leave(0);
    this->slots.tick(ahead + t * this->period / 2 * ms);
    this->take(8 * per_chunk);
  }
  EXPECT_EQ(this->upstream.requests(), asked);
  EXPECT_EQ(this->chunks(), 8U);
}

TYPED_TEST(SlotSupplyThatDecays, LeavesWhatWasExpandedUntilTrimmed) {
  this->slots.expand(3 * per_chunk);
  this->take(5 * per_chunk);
  this->leave(0);
  for (std::uint64_t t = 0; t < 10; ++t) this->slots.tick(ahead + t * this->period * ms);
  EXPECT_EQ(this->chunks(), 3U);
  EXPECT_EQ(this->slots.trim(), 3 * chunk);
  this->take(5 * per_chunk);
  this->leave(0);
  for (std::uint64_t t = 10; t < 20; ++t) this->slots.tick(ahead + t * this->period * ms);
  EXPECT_EQ(this->chunks(), 0U);
}

// Model: how many chunks were in use at most, in every millisecond. Slots go back in the order that empties chunks.
TYPED_TEST(SlotSupplyThatDecays, AgreesWithAModelOfAllThatWasUsed) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  std::vector<std::size_t> most_at;  // chunks that were out at once
  std::uint64_t longest_gap = 1;
  std::uint64_t last = 0;
  for (std::uint64_t t = 0; t < 3000; ++t) {
    const std::size_t before = this->taken.size();
    const std::size_t now = random() % 4 == 0 ? random() % (12 * per_chunk) : before;
    this->take(now);
    std::size_t most = std::max(before, now);
    if (random() % 4 == 0) {
      this->take(most = std::max<std::size_t>(most, random() % (12 * per_chunk)));
    }
    this->leave(now);
    most_at.push_back((most + per_chunk - 1) / per_chunk);
    if (t != 0 && random() % 3 != 0) continue;
    longest_gap = std::max(longest_gap, t - last);
    last = t;
    const std::size_t had = this->chunks();
    const std::size_t gone = this->slots.tick(ahead + t * ms) / chunk;
    ASSERT_EQ(this->chunks(), had - gone);
    const auto most_since = [&](std::uint64_t ago) {
      const std::uint64_t from = t < ago ? 0 : t - ago;
      return *std::max_element(most_at.begin() + static_cast<std::ptrdiff_t>(from), most_at.end());
    };
    ASSERT_GE(this->chunks(), std::min(had, most_since(this->period - 1))) << t << ": somebody needed it";
    ASSERT_LE(this->chunks(), most_since(this->period * 3 / 2 + 3 * longest_gap)) << t << ": nobody needed it";
    ASSERT_EQ(this->slots.slots().pool().check(), nullptr);
  }
}

using SlotSupplyOfManyThreads = SlotSupply<form<mem::threads::any>>;

TEST_F(SlotSupplyOfManyThreads, LosesNoSlotWhenTrimmedMeanwhile) {
  std::atomic<bool> done{false};
  std::vector<std::thread> crew;
  for (int t = 0; t < 3; ++t) {
    crew.emplace_back([&, t] {
      std::vector<void*> held;
      while (!done) {
        for (std::size_t i = 0; i < 3 * per_chunk; ++i) {
          held.push_back(slots.take(item));
          std::memset(held.back(), t, item);
        }
        for (void* const p : held) {
          EXPECT_EQ(static_cast<unsigned char*>(p)[item - 1], t);
          EXPECT_EQ(slots.put(p, item), mem::slot_fault::none);
        }
        held.clear();
      }
    });
  }
  for (int i = 0; i < 300; ++i) slots.trim();
  done = true;
  for (std::thread& t : crew) t.join();
  EXPECT_EQ(slots.count().out, 0U);
  slots.trim();
  EXPECT_EQ(chunks(), 0U) << "a chunk only goes when all its slots are there";
  expect_sums();
}

TEST_F(SlotSupplyOfManyThreads, LosesNoSlotWhenTickedMeanwhile) {
  slot_supply<test::failing_resource, mem::threads::any> ticked(
      "test", &upstream, mem::slot_shape::of(item, 8, chunk, 1), false, mem::decay_period(0));
  std::atomic<bool> done{false};
  std::vector<std::thread> crew;
  for (int t = 0; t < 3; ++t) {
    crew.emplace_back([&, t] {
      std::vector<void*> held;
      while (!done) {
        for (std::size_t i = 0; i < 3 * per_chunk; ++i) {
          held.push_back(ticked.take(item));
          std::memset(held.back(), t, item);
        }
        for (void* const p : held) {
          EXPECT_EQ(static_cast<unsigned char*>(p)[item - 1], t);
          EXPECT_EQ(ticked.put(p, item), mem::slot_fault::none);
        }
        held.clear();
      }
    });
  }
  for (std::uint64_t i = 0; i < 300; ++i) ticked.tick(i);
  done = true;
  for (std::thread& t : crew) t.join();
  EXPECT_EQ(ticked.count().out, 0U);
  ticked.trim();
  EXPECT_EQ(ticked.slots().pool().chunks().count(), 0U);
  EXPECT_EQ(ticked.slots().pool().check(), nullptr);
}

TEST_F(SlotSupplyOfManyThreads, DoesNotGrowWithThreadLives) {
  std::vector<void*> passed;
  const auto live = [&] {
    for (void* const p : passed) EXPECT_EQ(slots.put(p, item), mem::slot_fault::none);
    passed.clear();
    for (std::size_t i = 0; i < 40; ++i) passed.push_back(slots.take(item));
  };
  for (int i = 0; i < 10; ++i) std::thread(live).join();
  const test::balance before = recorder.live();
  for (int i = 0; i < 5'000; ++i) std::thread(live).join();
  EXPECT_EQ(recorder.live(), before);
  expect_sums();
}

}  // namespace
}  // namespace strata::pmr
