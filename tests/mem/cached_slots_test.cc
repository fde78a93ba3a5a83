// SPDX-License-Identifier: Apache-2.0
// Claims, of both forms: what came back last comes first; a second put is noticed at once, with a cache and without; a
// cache takes one slot from the pool at first, then twice as many each time, and gives back its older half when it is
// full; figures add up, with and without caches; draining gives all back to the pool, and of idle caches only what
// was not used since the last time. Of the shared form: without memory
// for a cache all works on the pool; a thread that only gives back has the spare cache; the cache of a thread that ended
// is the next one's, and drained while nobody's; that of a thread at rest is drained too, unless the system has no barrier
// for all threads, and in a child that does not have the thread; clearing hands every cache back once. Threads that work while another
// drains all the time lose no slot, and get none twice.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <barrier>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "tests/os_script/os_script.h"
#include "tests/support/shared_memory.h"

import strata.mem;

namespace strata::mem {
namespace {

constexpr std::size_t bytes = 32 << 10;

template <threads Threads>
struct slots_with_chunk {
  using cache = typename cached_slots<Threads>::cache;

  cached_slots<Threads> slots{slot_shape::of(64, 8, bytes, 1)};
  alignas(bytes) std::array<std::byte, bytes> chunk;
  std::array<std::uint32_t, bytes / 64> words;
  struct alignas(64) cache_memory {
    std::byte bytes[sizeof(cache)];
  };
  std::deque<cache_memory> caches;

  slots_with_chunk() { slots.pool().add(chunk.data(), words.data()); }

  void equip() {
    if (slots.wants_cache()) EXPECT_TRUE(slots.add_cache(&caches.emplace_back()));
  }
  std::size_t in_pool() {
    std::vector<typename cache::place> all;
    typename cache::place at{};
    while (slots.pool().take(&at, 1) == 1) all.push_back(at);
    for (std::size_t i = all.size(); i-- > 0;) slots.pool().put(&all[i], 1);
    return all.size();
  }
};

struct shared {
  static constexpr threads value = threads::any;
};
struct sole {
  static constexpr threads value = threads::one;
};

template <class Form>
struct CachedSlots : testing::Test, slots_with_chunk<Form::value> {};
using Forms = testing::Types<shared, sole>;
TYPED_TEST_SUITE(CachedSlots, Forms);

TYPED_TEST(CachedSlots, GivesAgainWhatCameBackLast) {
  EXPECT_EQ(this->slots.take(64), nullptr);
  this->equip();
  EXPECT_EQ(this->slots.take(64), nullptr);
  void* const p = this->slots.refill(64);
  void* const q = this->slots.refill(64);
  EXPECT_NE(p, q);
  EXPECT_TRUE(this->slots.put_easily(p, 64));
  EXPECT_EQ(this->slots.take(64), p);
  EXPECT_TRUE(this->slots.put_easily(q, 64));
  EXPECT_TRUE(this->slots.put_easily(p, 64));
  EXPECT_EQ(this->slots.take(64), p);
  EXPECT_EQ(this->slots.take(64), q);
}

TYPED_TEST(CachedSlots, NoticesASecondPutAtOnce) {
  for (const bool with_cache : {false, true}) {
    if (with_cache) this->equip();
    void* const p = this->slots.refill(64);
    EXPECT_EQ(this->slots.inspect(p), slot_fault::none);
    EXPECT_EQ(this->slots.put(p, 64), slot_fault::none);
    EXPECT_EQ(this->slots.inspect(p), slot_fault::already_free);
    EXPECT_FALSE(this->slots.put_easily(p, 64));
    EXPECT_EQ(this->slots.put(p, 64), slot_fault::already_free);
    EXPECT_EQ(this->slots.put(this->chunk.data() + 8, 64), slot_fault::not_a_slot);
    EXPECT_EQ(this->slots.put(&this->slots, 64), slot_fault::foreign);
    EXPECT_EQ(this->slots.count().out, 0U);
  }
}

TYPED_TEST(CachedSlots, DrainsWhatWasNotUsed) {
  this->equip();
  const std::size_t all = this->in_pool();
  void* const p = this->slots.refill(64);
  EXPECT_TRUE(this->slots.put_easily(p, 64));
  this->slots.drain_idle();
  EXPECT_EQ(this->in_pool(), all - 1) << "it was used";
  EXPECT_EQ(this->slots.take(64), p);
  EXPECT_TRUE(this->slots.put_easily(p, 64));
  this->slots.drain_idle();
  EXPECT_EQ(this->in_pool(), all - 1) << "and again";
  this->slots.drain_idle();
  EXPECT_EQ(this->in_pool(), all);
}

TYPED_TEST(CachedSlots, TakesMoreFromThePoolTheOftenerItMisses) {
  this->equip();
  const std::size_t all = this->in_pool();
  std::size_t taken = 0;
  std::vector<void*> out;
  for (const std::size_t batch : {1U, 2U, 4U, 8U, 16U, 32U, 32U}) {
    out.push_back(this->slots.refill(64));
    taken += batch;
    EXPECT_EQ(this->in_pool(), all - taken);
    while (out.size() < taken) out.push_back(this->slots.take(64));
  }
  for (std::size_t i = 0; i < 64; ++i) EXPECT_TRUE(this->slots.put_easily(out[i], 64)) << i;
  EXPECT_EQ(this->in_pool(), all - taken);
  EXPECT_FALSE(this->slots.put_easily(out[64], 64)) << "it is full";
  EXPECT_EQ(this->slots.put(out[64], 64), slot_fault::none);
  EXPECT_EQ(this->in_pool(), all - taken + 32);
  EXPECT_EQ(this->slots.take(64), out[64]);
  EXPECT_EQ(this->slots.take(64), out[63]) << "the older half went";
}

TYPED_TEST(CachedSlots, CountsWithCachesAndWithout) {
  void* const p = this->slots.refill(10);
  this->equip();
  void* const q = this->slots.refill(20);
  EXPECT_EQ(this->slots.count().live, 30U);
  EXPECT_EQ(this->slots.count().out, 2U);
  EXPECT_EQ(this->slots.put(p, 10), slot_fault::none);
  EXPECT_EQ(this->slots.count().live, 20U);
  EXPECT_EQ(this->slots.put(q, 20), slot_fault::none);
  EXPECT_EQ(this->slots.count().live, 0U);
  EXPECT_EQ(this->slots.count().out, 0U);
  EXPECT_EQ(this->slots.count().taken, 2U);
}

TYPED_TEST(CachedSlots, DrainsIntoThePool) {
  this->equip();
  const std::size_t all = this->in_pool();
  std::vector<void*> out;
  for (int i = 0; i < 40; ++i) {
    void* const p = this->slots.take(64);
    out.push_back(p != nullptr ? p : this->slots.refill(64));
  }
  for (void* const p : out) EXPECT_EQ(this->slots.put(p, 64), slot_fault::none);
  EXPECT_LT(this->in_pool(), all);
  this->slots.drain();
  EXPECT_EQ(this->in_pool(), all);
  EXPECT_EQ(this->slots.pool().check(), nullptr);
  EXPECT_NE(this->slots.refill(64), nullptr);
}

TYPED_TEST(CachedSlots, HandsItsCachesBackOnce) {
  this->equip();
  this->equip();
  (void)this->slots.refill(64);
  std::size_t count = 0;
  for (auto* c = this->slots.clear_caches(); c != nullptr; c = c->next) ++count;
  EXPECT_EQ(count, this->caches.size());
  EXPECT_EQ(this->slots.clear_caches(), nullptr);
  EXPECT_EQ(this->slots.count().live, 0U);
  EXPECT_EQ(this->slots.count().out, 0U);
  EXPECT_EQ(this->slots.count().taken, 1U);
}

struct CachedSlotsOfManyThreads : testing::Test, slots_with_chunk<threads::any> {};

TEST_F(CachedSlotsOfManyThreads, HaveASpareForAThreadThatOnlyGivesBack) {
  equip();
  equip();
  EXPECT_FALSE(slots.wants_cache());
  void* const p = slots.refill(64);
  const std::size_t before = in_pool();
  std::thread([&] {
    EXPECT_EQ(slots.put(p, 64), slot_fault::none);
    EXPECT_EQ(in_pool(), before) << "it is in the thread's cache";
    EXPECT_EQ(slots.take(64), p);
    EXPECT_TRUE(slots.put_easily(p, 64));
  }).join();
  EXPECT_TRUE(slots.wants_cache()) << "the spare is gone";
  EXPECT_FALSE([&] {
    equip();
    return slots.add_cache(&caches.emplace_back());
  }()) << "no third is wanted";
  std::thread([&] {
    EXPECT_EQ(slots.refill(64), p) << "the number's next thread has what the one before kept";
  }).join();
  EXPECT_EQ(slots.put(p, 64), slot_fault::none);
}

TEST_F(CachedSlotsOfManyThreads, DrainWhatAThreadLeft) {
  const std::size_t all = in_pool();
  std::thread([&] {
    equip();
    void* const p = slots.refill(64);
    EXPECT_EQ(slots.put(p, 64), slot_fault::none);
  }).join();
  EXPECT_EQ(in_pool(), all - 1);
  slots.drain();
  EXPECT_EQ(in_pool(), all);
}

TEST_F(CachedSlotsOfManyThreads, DrainWhatThreadsAtRestHold) {
  const std::size_t all = in_pool();
  std::barrier both(2);
  std::thread other([&] {
    equip();
    for (int round = 0; round < 3; ++round) {
      void* const p = slots.refill(64);
      EXPECT_EQ(slots.put(p, 64), slot_fault::none);
      both.arrive_and_wait();
      both.arrive_and_wait();
    }
  });
  both.arrive_and_wait();
  EXPECT_LT(in_pool(), all);
  slots.drain();
  EXPECT_EQ(in_pool(), all);
  both.arrive_and_wait();
  both.arrive_and_wait();
  const std::size_t left = in_pool();
  EXPECT_LT(left, all) << "it goes on as before";
  bool refused = false;
  {
    test::os_script script;
    script.fail_always(test::os_call::membarrier, ENOSYS);
    slots.drain();
    refused = script.calls(test::os_call::membarrier) != 0;
  }
  if (refused) EXPECT_EQ(in_pool(), left);
  both.arrive_and_wait();
  both.arrive_and_wait();
  EXPECT_EQ(test::in_child([&] {
              slots.drain();
              return in_pool() == all && slots.pool().check() == nullptr ? 0 : 1;
            }),
            0);
  both.arrive_and_wait();
  other.join();
  slots.drain();
  EXPECT_EQ(in_pool(), all);
  EXPECT_EQ(slots.count().out, 0U);
}

TEST_F(CachedSlotsOfManyThreads, LoseNothingWhileAnotherThreadDrainsAllTheTime) {
  const std::size_t all = in_pool();
  constexpr std::uintptr_t crew = 3;
  std::atomic<std::uintptr_t> working{crew};
  std::atomic<bool> wrong{false};
  for (std::uintptr_t t = 0; t < crew; ++t) caches.emplace_back();
  std::vector<std::thread> owners;
  for (std::uintptr_t t = 0; t < crew; ++t) {
    owners.emplace_back([&, t] {
      (void)slots.wants_cache();
      if (!slots.add_cache(&caches[t])) wrong = true;
      std::mt19937 random(static_cast<unsigned>(t));
      std::vector<std::uintptr_t*> mine;
      for (int i = 0; i < 20'000; ++i) {
        if (mine.size() < 40 && (mine.empty() || random() % 2 == 0)) {
          void* p = slots.take(64);
          if (p == nullptr) p = slots.refill(64);
          mine.push_back(static_cast<std::uintptr_t*>(p));
          if (p == nullptr) break;
          *mine.back() = t;
        } else {
          std::swap(mine[random() % mine.size()], mine.back());
          if (*mine.back() != t) wrong = true;
          if (!slots.put_easily(mine.back(), 64) && slots.put(mine.back(), 64) != slot_fault::none) wrong = true;
          mine.pop_back();
        }
      }
      for (std::uintptr_t* const p : mine) {
        if (p == nullptr || slots.put(p, 64) != slot_fault::none) wrong = true;
      }
      --working;
    });
  }
  while (working != 0) slots.drain();
  for (std::thread& t : owners) t.join();
  EXPECT_FALSE(wrong);
  EXPECT_EQ(slots.count().out, 0U);
  slots.drain();
  EXPECT_EQ(in_pool(), all);
  EXPECT_EQ(slots.pool().check(), nullptr);
}

TEST_F(CachedSlotsOfManyThreads, PassSlotsOnWhateverThreadsComeAndGo) {
  std::vector<void*> passed;
  for (int life = 0; life < 300; ++life) {
    std::thread([&] {
      equip();
      for (void* const p : passed) EXPECT_EQ(slots.put(p, 64), slot_fault::none);
      passed.clear();
      for (int i = 0; i < 100; ++i) {
        void* p = slots.take(64);
        if (p == nullptr) p = slots.refill(64);
        ASSERT_NE(p, nullptr) << "slots are lost";
        passed.push_back(p);
      }
    }).join();
  }
  EXPECT_EQ(slots.count().out, 100U);
  EXPECT_LE(caches.size(), 3U);
}

}  // namespace
}  // namespace strata::mem
