// SPDX-License-Identifier: Apache-2.0
// Claims, of both forms: slots come out in rising order and the one that came back last comes first, one by one and in
// batches; a slot twice, a pointer between slots and one from elsewhere are told apart and change nothing; a chunk whose
// slots are all in can rest, no other; while it rests it gives no slot and takes none; it wakes whole, the lowest number
// first, or is handed back, the highest first, and its number and words serve the next; chunks rest on when others come and
// when the table grows; check() finds a word that was overwritten. Of the shared form: a thread that pops while chunks come to
// rest, wake and go gets no slot of those that rest.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <thread>
#include <vector>

import strata.mem;

namespace strata::mem {
namespace {

constexpr std::size_t bytes = 1024;

template <threads Threads>
struct pool_of_chunks {
  static constexpr std::size_t most = 12;
  slot_pool<Threads> pool{slot_shape::of(24, 8, bytes, 1)};
  alignas(bytes) std::array<std::byte, most * bytes> memory;
  std::array<std::array<std::uint32_t, bytes / 24>, most> words;
  std::vector<std::vector<std::max_align_t>> tables;
  std::size_t used_words = 0;

  std::byte* chunk(std::size_t n) { return memory.data() + n * bytes; }
  void add(std::size_t n) {
    if (const std::size_t table = pool.chunks().wanted(); table != 0) {
      pool.chunks().grow(tables.emplace_back(table / sizeof(std::max_align_t) + 1).data());
    }
    pool.add(chunk(n), pool.wanted_words() == 0 ? nullptr : words[used_words++].data());
  }
  std::size_t take_all() {
    std::size_t count = 0;
    while (pool.take() != nullptr) ++count;
    return count;
  }
};

struct shared {
  static constexpr threads value = threads::any;
};
struct sole {
  static constexpr threads value = threads::one;
};

template <class Form>
struct SlotPool : testing::Test, pool_of_chunks<Form::value> {
  using place = typename slot_pool<Form::value>::place;
};
using Forms = testing::Types<shared, sole>;
TYPED_TEST_SUITE(SlotPool, Forms);

TYPED_TEST(SlotPool, GivesSlotsInOrderAndTheLastOneFirst) {
  EXPECT_EQ(this->pool.take(), nullptr);
  this->add(0);
  EXPECT_EQ(this->pool.take(), this->chunk(0));
  EXPECT_EQ(this->pool.take(), this->chunk(0) + 24);
  EXPECT_EQ(this->pool.take(), this->chunk(0) + 48);
  EXPECT_EQ(this->pool.put(this->chunk(0)), slot_fault::none);
  EXPECT_EQ(this->pool.take(), this->chunk(0));
}

TYPED_TEST(SlotPool, GivesAndTakesBatches) {
  this->add(0);
  std::array<typename TestFixture::place, 10> batch;
  ASSERT_EQ(this->pool.take(batch.data(), 10), 10U);
  for (std::size_t i = 0; i < 10; ++i) EXPECT_EQ(batch[9 - i].slot, this->chunk(0) + 24 * i);
  this->pool.put(batch.data(), 3);
  EXPECT_EQ(this->pool.take(), batch[2].slot);
  EXPECT_EQ(this->pool.take(), batch[1].slot);
  this->pool.put(batch.data() + 3, 7);
  this->pool.put(batch.data(), 0);
  const std::uint32_t left = this->pool.shape().slots - 2;
  std::array<typename TestFixture::place, slot_pool<threads::any>::max_batch> rest;
  EXPECT_EQ(this->pool.take(rest.data(), rest.size()), left);
  EXPECT_EQ(rest[left - 1].slot, batch[9].slot);
  EXPECT_EQ(this->pool.take(rest.data(), rest.size()), 0U);
  EXPECT_EQ(this->pool.check(), nullptr);
}

TYPED_TEST(SlotPool, GivesEverySlotOfEveryChunkOnce) {
  this->add(0);
  this->add(1);
  std::vector<void*> slots;
  while (void* const p = this->pool.take()) {
    std::memset(p, 0xFF, 24);
    slots.push_back(p);
  }
  EXPECT_EQ(slots.size(), 2 * this->pool.shape().slots);
  EXPECT_EQ(this->pool.check(), nullptr);
  for (void* const p : slots) EXPECT_EQ(this->pool.put(p), slot_fault::none);
  EXPECT_EQ(this->pool.check(), nullptr);
  for (const std::uint32_t n : {0U, 1U}) {
    EXPECT_EQ(this->pool.parts_of(n).chunk, this->chunk(n));
    EXPECT_EQ(this->pool.parts_of(n).words, this->words[n].data());
  }
  this->pool.forget();
  EXPECT_EQ(this->pool.take(), nullptr);
}

TYPED_TEST(SlotPool, TellsWrongPointersApart) {
  this->add(0);
  auto* const first = static_cast<std::byte*>(this->pool.take());
  typename TestFixture::place at{};
  EXPECT_EQ(this->pool.put(first + 24), slot_fault::already_free);
  EXPECT_EQ(this->pool.put(first + 8), slot_fault::not_a_slot);
  EXPECT_EQ(this->pool.put(this->chunk(0) + bytes - 1), slot_fault::not_a_slot);
  EXPECT_EQ(this->pool.put(this->chunk(1)), slot_fault::foreign);
  EXPECT_EQ(this->pool.put(&this->pool), slot_fault::foreign);
  EXPECT_EQ(this->pool.put(nullptr), slot_fault::foreign);
  EXPECT_EQ(this->pool.find_easily(nullptr).slot, nullptr);
  EXPECT_EQ(this->pool.find_easily(first + 8).slot, nullptr);
  EXPECT_EQ(this->pool.find(first, at), slot_fault::none);
  EXPECT_TRUE(this->pool.is_out(at));
  EXPECT_EQ(this->pool.find_easily(first).slot, first);
  EXPECT_EQ(this->pool.put(first), slot_fault::none);
  EXPECT_FALSE(this->pool.is_out(at));
  EXPECT_EQ(this->pool.put(first), slot_fault::already_free);
  EXPECT_EQ(this->pool.check(), nullptr);
}

TYPED_TEST(SlotPool, HandsBackChunksWhoseSlotsAreAllIn) {
  for (std::size_t n = 0; n < 3; ++n) this->add(n);
  std::vector<void*> slots;
  while (void* const p = this->pool.take()) slots.push_back(p);
  for (void* const p : slots) {
    if (p != this->chunk(1) + 24) EXPECT_EQ(this->pool.put(p), slot_fault::none);
  }
  this->pool.rest();
  EXPECT_EQ(this->pool.resting(), 2U);
  EXPECT_EQ(this->pool.take_resting(), this->chunk(2));
  EXPECT_EQ(this->pool.take_resting(), this->chunk(0));
  EXPECT_EQ(this->pool.take_resting(), nullptr);
  EXPECT_EQ(this->pool.resting(), 0U);
  EXPECT_EQ(this->pool.check(), nullptr);
  EXPECT_EQ(this->pool.put(this->chunk(0)), slot_fault::foreign);
  EXPECT_EQ(this->pool.chunks().count(), 1U);
  std::size_t left = 0;
  while (this->pool.take() != nullptr) ++left;
  EXPECT_EQ(left, this->pool.shape().slots - 1);

  EXPECT_EQ(this->pool.wanted_words(), 0U);
  this->add(3);
  EXPECT_EQ(this->used_words, 3U);
  EXPECT_EQ(this->pool.take(), this->chunk(3));
  EXPECT_EQ(this->pool.check(), nullptr);
}

TYPED_TEST(SlotPool, GivesNoSlotOfAChunkThatRestsUntilItWakes) {
  for (std::size_t n = 0; n < 3; ++n) this->add(n);
  void* const out = this->pool.take();
  ASSERT_EQ(out, this->chunk(2)) << "what came last comes first";
  this->pool.rest();
  EXPECT_EQ(this->pool.resting(), 2U);
  EXPECT_EQ(this->take_all(), this->pool.shape().slots - 1) << "of the one that does not rest";
  EXPECT_EQ(this->pool.put(this->chunk(1)), slot_fault::already_free);
  this->pool.rest();
  EXPECT_EQ(this->pool.resting(), 2U) << "they rest on";
  EXPECT_EQ(this->pool.check(), nullptr);
  ASSERT_TRUE(this->pool.wake());
  EXPECT_EQ(this->pool.take(), this->chunk(0));
  EXPECT_EQ(this->take_all(), this->pool.shape().slots - 1);
  ASSERT_TRUE(this->pool.wake());
  EXPECT_EQ(this->pool.take(), this->chunk(1));
  EXPECT_FALSE(this->pool.wake());
  EXPECT_EQ(this->pool.put(out), slot_fault::none);
  EXPECT_EQ(this->pool.check(), nullptr);
}

TYPED_TEST(SlotPool, LetsChunksRestOnWhileOthersCome) {
  for (std::size_t n = 0; n < 8; ++n) this->add(n);
  this->pool.rest();
  EXPECT_EQ(this->pool.resting(), 8U);
  for (std::size_t n = 8; n < 10; ++n) this->add(n);  // for the first of them the table grows
  EXPECT_EQ(this->take_all(), 2 * this->pool.shape().slots);
  this->pool.rest();
  EXPECT_EQ(this->pool.resting(), 8U);
  EXPECT_EQ(this->pool.take_resting(), this->chunk(7));
  ASSERT_TRUE(this->pool.wake());
  EXPECT_EQ(this->pool.take(), this->chunk(0));
  this->add(10);
  EXPECT_EQ(this->pool.take(), this->chunk(10)) << "in place of the one that went";
  for (std::size_t n = 6; n > 0; --n) EXPECT_EQ(this->pool.take_resting(), this->chunk(n));
  EXPECT_EQ(this->pool.resting(), 0U);
  EXPECT_EQ(this->pool.check(), nullptr);
}

TYPED_TEST(SlotPool, FindsAnOverwrittenWord) {
  this->add(0);
  const std::uint32_t wild = 0x00ABCDEF;
  std::memcpy(&this->words[0][1], &wild, sizeof wild);
  EXPECT_STREQ(this->pool.check(), "a free slot's link leads nowhere");
}

TEST(SlotPoolOfManyThreads, LetsChunksRestWhileOthersTakeAndPut) {
  pool_of_chunks<threads::any> chunks;
  for (std::size_t n = 0; n < 4; ++n) chunks.add(n);
  std::atomic<bool> done{false};
  std::vector<std::thread> crew;
  for (int t = 0; t < 3; ++t) {
    crew.emplace_back([&] {
      while (!done) {
        void* const p = chunks.pool.take();
        if (p == nullptr) continue;
        std::memset(p, 0xFF, 24);
        EXPECT_EQ(chunks.pool.put(p), slot_fault::none);
      }
    });
  }
  for (int i = 0; i < 2'000; ++i) {
    chunks.pool.rest();
    if (i % 2 == 0) {
      std::vector<void*> gone;
      while (void* const chunk = chunks.pool.take_resting()) {
        // Nobody has a slot of it: what is written now would meet what the others write.
        std::memset(chunk, 0, bytes);
        gone.push_back(chunk);
      }
      for (void* const chunk : gone) chunks.pool.add(chunk, nullptr);
    } else {
      while (chunks.pool.wake()) continue;
    }
  }
  done = true;
  for (std::thread& t : crew) t.join();
  EXPECT_EQ(chunks.pool.check(), nullptr);
  std::size_t slots = 0;
  while (chunks.pool.take() != nullptr) ++slots;
  EXPECT_EQ(slots, 4 * chunks.pool.shape().slots);
}

}  // namespace
}  // namespace strata::mem
