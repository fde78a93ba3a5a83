// SPDX-License-Identifier: Apache-2.0
// Claims: shapes waste little and place slots apart; through random lives no page of a mirror is handed out twice, no
// slot to two blocks at a time, and a slot is where its place says; pages open as they are needed; pages take turns,
// and blocks that follow each other do not lie alike; the ring closes the oldest mirror and forgets those dropped; a
// refused slab is an error.
#include <gtest/gtest.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <random>
#include <set>
#include <utility>
#include <vector>

#include "tests/os_script/os_script.h"
#include "tests/support/random_run.h"

import strata.mem;

namespace strata::mem {
namespace {

TEST(ShadowShape, WastesLittle) {
  for (const std::size_t page : {std::size_t{4} << 10, std::size_t{16} << 10, std::size_t{64} << 10}) {
    for (std::size_t c = 0; size_class::bytes(c) <= std::size_t{32} << 10; ++c) {
      const shadow_shape shape = shadow_shape::of(size_class::bytes(c), page);
      const std::size_t unit = shape.unit_pages * page;
      SCOPED_TRACE(size_class::bytes(c));
      ASSERT_GT(shape.unit_slots, 0U);
      ASSERT_LE(std::size_t{shape.unit_slots} * shape.slot_bytes, unit);
      EXPECT_LE((unit - std::size_t{shape.unit_slots} * shape.slot_bytes) * 25, unit);
    }
  }
}

class ShadowSlab : public testing::TestWithParam<std::uint32_t> {
 protected:
  ShadowSlab() {
    const shadow_slab::made made = shadow_slab::make(shadow_shape::of(GetParam(), page_bytes()), units(), 0);
    slab_ = made.slab;
  }
  ~ShadowSlab() override { shadow_slab::unmake(slab_); }

  [[nodiscard]] static std::uint32_t units() { return 64 / shadow_shape::of(GetParam(), page_bytes()).unit_pages; }

  shadow_slab::place take() {
    const shadow_slab::place where = slab_->choose(true);
    const std::uint32_t number = slab_->mirror_for(where);
    if (number == slab_->next_mirror()) slab_->push_mirror(number);
    EXPECT_LT(number, slab_->next_mirror());
    EXPECT_EQ(slab_->mirror(number), number);
    for (std::uint32_t p = where.first; p <= where.last; ++p) EXPECT_TRUE(used_.emplace(number, p).second);
    slab_->take(where, number);
    return where;
  }

  shadow_slab* slab_ = nullptr;
  std::set<std::pair<std::uint32_t, std::uint32_t>> used_;  // mirror, page
};

INSTANTIATE_TEST_SUITE_P(Each, ShadowSlab,
                         testing::Values(16U, 48U, 112U, 512U, 1792U, 3840U, 4096U, 5632U, 15360U, 32768U));

TEST_P(ShadowSlab, HandsOutEachPageOfAMirrorOnce) {
  std::mt19937_64 random(test::random_seed());
  std::vector<shadow_slab::place> live;
  std::set<std::pair<std::uint32_t, std::uint32_t>> slots;
  for (std::size_t step = 0; step < test::random_steps() / 5; ++step) {
    if (!slab_->is_full() && (live.empty() || random() % 8 < (step / 3000 % 2 == 0 ? 5U : 3U))) {
      const shadow_slab::place where = take();
      ASSERT_TRUE(slots.emplace(where.unit, where.slot).second);
      const std::size_t start = slab_->start_of(where);
      ASSERT_EQ(start / page_bytes(), where.first);
      ASSERT_EQ((start + GetParam() - 1) / page_bytes(), where.last);
      ASSERT_LT(where.last, slab_->opened_pages());
      const shadow_slab::place again = slab_->place_at(start);
      ASSERT_EQ(again.unit, where.unit);
      ASSERT_EQ(again.slot, where.slot);
      live.push_back(where);
    } else if (!live.empty()) {
      std::swap(live[random() % live.size()], live.back());
      slab_->give(live.back());
      slots.erase({live.back().unit, live.back().slot});
      live.pop_back();
    }
    if (step % 1000 == 0) ASSERT_EQ(slab_->check(), nullptr) << slab_->check();
  }
  ASSERT_EQ(slab_->live(), live.size());
}

TEST_P(ShadowSlab, OpensPagesAsTheyAreNeeded) {
  take();
  EXPECT_LE(slab_->opened_pages(), 16U);
  while (!slab_->is_full()) take();
  EXPECT_EQ(slab_->opened_pages(), slab_->pages());
  EXPECT_EQ(slab_->pages_to_open(), 0U);
}

TEST_P(ShadowSlab, OpensNoneIfItMayNot) {
  take();
  const std::uint32_t opened = slab_->opened_pages();
  while (slab_->has_open_slot()) {
    const shadow_slab::place where = slab_->choose(false);
    const std::uint32_t number = slab_->mirror_for(where);
    if (number == slab_->next_mirror()) slab_->push_mirror(number);
    slab_->take(where, number);
  }
  EXPECT_EQ(slab_->opened_pages(), opened);
}

TEST_P(ShadowSlab, ClosesTheOldestMirrorWhenTheRingIsFull) {
  slab_->open_all();
  std::uint32_t id = 100;
  std::uint32_t closed = shadow_slab::no_mirror;
  while (closed == shadow_slab::no_mirror) closed = slab_->push_mirror(id++);
  EXPECT_EQ(closed, 100U);
  EXPECT_EQ(slab_->oldest_mirror(), 101U);
  EXPECT_GE(slab_->mirror_for(slab_->choose(true)), 1U);
  slab_->drop_mirror(1);
  EXPECT_EQ(slab_->oldest_mirror(), 102U);
  slab_->close_oldest();
  EXPECT_EQ(slab_->oldest_mirror(), 103U);
}

TEST(ShadowSlabOrder, TakesPagesInTurnAndSlotsApart) {
  shadow_slab* const slab = shadow_slab::make(shadow_shape::of(64, page_bytes()), 16, 0).slab;
  std::set<std::size_t> offsets;
  for (std::uint32_t i = 0; i < 16; ++i) {
    const shadow_slab::place where = slab->choose(true);
    EXPECT_EQ(where.first, i);
    EXPECT_TRUE(offsets.insert(slab->start_of(where) % page_bytes()).second);
    if (slab->next_mirror() == 0) slab->push_mirror(0);
    slab->take(where, 0);
  }
  shadow_slab::unmake(slab);
}

TEST(ShadowSlabOrder, SaysWhenTheOsRefuses) {
  test::os_script script;
  script.fail(test::os_call::mmap, 1, ENOMEM);
  const shadow_slab::made made = shadow_slab::make(shadow_shape::of(64, page_bytes()), 16, 0);
  EXPECT_EQ(made.slab, nullptr);
  EXPECT_EQ(made.error.code, ENOMEM);
}

}  // namespace
}  // namespace strata::mem
