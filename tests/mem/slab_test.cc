// SPDX-License-Identifier: Apache-2.0
// Claims: for every class a slab hands out as many slots as fit, disjoint, inside it, lowest address first; each can be
// put back once, in any order; addresses between slots and a second put are refused; a span's units serve slabs of both
// sizes and come back.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <random>
#include <set>
#include <vector>

#include "tests/mem/slab_memory.h"

import strata.mem;

namespace strata::mem {
namespace {

struct Slab : testing::Test {
  test::span_memory memory{span_bytes};
  span* const home = span::format(memory.get());

  static std::vector<void*> take_all(slab& s) {
    std::vector<void*> slots(slab::max_slots);
    slots.resize(s.take(slots.data(), slots.size()));
    return slots;
  }
};

TEST_F(Slab, HandsOutEverySlotOfEveryClassOnceAndTakesItBack) {
  std::mt19937_64 random(7);
  for (std::size_t c = 0; c < size_class::count; ++c) {
    slab* const s = home->make_slab(c);
    ASSERT_NE(s, nullptr);
    const std::size_t bytes = size_class::bytes(c);
    const std::size_t room = slab::units_for(c) * unit_bytes;
    std::vector<void*> slots = take_all(*s);
    ASSERT_EQ(slots.size(), room / bytes);
    ASSERT_EQ(s->free, 0U);
    EXPECT_TRUE(std::is_sorted(slots.rbegin(), slots.rend())) << "rising when taken from the back";
    for (std::size_t i = 0; i < slots.size(); ++i) {
      ASSERT_EQ(span::of(slots[i]), home);
      ASSERT_EQ(span::slab_of(slots[i]), s);
      ASSERT_EQ((address(slots[i]) - address(s->base)) % bytes, 0U);
      ASSERT_LE(address(slots[i]) - address(s->base) + bytes, room);
      if (i > 0) ASSERT_NE(slots[i], slots[i - 1]);
    }
    std::shuffle(slots.begin(), slots.end(), random);
    for (void* const p : slots) {
      ASSERT_EQ(s->put(p), slab_fault::none);
      ASSERT_EQ(s->put(p), slab_fault::already_free);
    }
    ASSERT_EQ(s->free, s->slots);
    home->unmake_slab(s);
  }
  EXPECT_TRUE(home->is_empty());
}

TEST_F(Slab, RefusesAddressesBetweenSlotsAndBeyondTheLast) {
  for (const std::size_t c :
       {std::size_t{0}, std::size_t{6}, std::size_t{20}, std::size_t{40}, size_class::count - 1}) {
    slab* const s = home->make_slab(c);
    (void)take_all(*s);
    const std::size_t bytes = size_class::bytes(c);
    for (std::size_t offset = 0; offset < s->units * unit_bytes; offset += 8) {
      if (offset % bytes == 0 && offset / bytes < s->slots) continue;
      ASSERT_EQ(s->put(s->base + offset), slab_fault::not_a_slot) << offset;
    }
    home->unmake_slab(s);
  }
}

TEST_F(Slab, TakesLowestFreeAddressesFirst) {
  slab* const s = home->make_slab(3);
  std::vector<void*> slots = take_all(*s);
  std::reverse(slots.begin(), slots.end());
  for (const std::size_t i : {700U, 3U, 64U, 65U, 999U}) ASSERT_EQ(s->put(slots[i]), slab_fault::none);
  void* out[3];
  ASSERT_EQ(s->take(out, 3), 3U);
  EXPECT_EQ(out[2], slots[3]);
  EXPECT_EQ(out[1], slots[64]);
  EXPECT_EQ(out[0], slots[65]);
  EXPECT_EQ(s->free, 2U);
}

TEST_F(Slab, ASpanServesSlabsOfOneUnitAndOfFour) {
  constexpr std::size_t small = 0;
  constexpr std::size_t big = size_class::count - 1;
  std::vector<slab*> made;
  while (slab* const s = home->make_slab(big)) made.push_back(s);
  EXPECT_EQ(made.size(), 7U);
  while (slab* const s = home->make_slab(small)) made.push_back(s);
  EXPECT_EQ(made.size(), 10U);
  EXPECT_TRUE(home->is_full());
  std::set<std::byte*> bases;
  for (const slab* s : made) bases.insert(s->base);
  EXPECT_EQ(bases.size(), made.size());
  for (std::size_t i = 7; i < 10; ++i) home->unmake_slab(made[i]);
  EXPECT_EQ(home->make_slab(big), nullptr) << "three units in a row are not four";
  for (std::size_t i = 0; i < 7; ++i) home->unmake_slab(made[i]);
  EXPECT_TRUE(home->is_empty());
}

TEST(SlabFault, IsASentenceEach) { EXPECT_STRNE(describe(slab_fault::not_a_slot), describe(slab_fault::already_free)); }

}  // namespace
}  // namespace strata::mem
