// SPDX-License-Identifier: Apache-2.0
// Claims: a new slab is listed, and larger the more there are; one that is full is listed no more until it is roomy again;
// any slab with a free slot can be found; bytes of slots are counted. A slab without blocks is unused after a decay and not
// before, is used when a slot was taken between two looks, and never while it is reserved. Ended ones are gone. An object
// that is used up, and memory that is refused, are errors.
#include <gtest/gtest.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "tests/os_script/os_script.h"

import strata.mem;

namespace strata::mem {
namespace {

constexpr std::uint64_t ms = 1'000'000;
constexpr decay_period period(100);

struct ShadowSlabs : testing::Test {
  ShadowSlabs() { EXPECT_FALSE(object_.make("test").failed()); }

  shadow_slab* make() {
    const shadow_slabs::made made = slabs_.make(c_, object_);
    EXPECT_NE(made.slab, nullptr);
    return made.slab;
  }
  shadow_slab::place take(shadow_slab* slab) {
    const shadow_slab::place where = slab->choose(true);
    const std::uint32_t number = slab->mirror_for(where);
    if (number == slab->next_mirror()) slab->push_mirror(number);
    slab->take(where, number);
    slabs_.took(slab);
    return where;
  }
  void give(shadow_slab* slab, const shadow_slab::place& where) {
    slab->give(where);
    slabs_.gave(slab);
  }

  const std::size_t c_ = size_class::with(1023);
  const std::size_t slot_ = size_class::bytes(c_);
  shadow_object object_;
  shadow_slabs slabs_;
};

TEST_F(ShadowSlabs, GrowWithTheirClass) {
  const std::uint32_t first = make()->pages();
  EXPECT_EQ(first, shadow_space::strip_pages);
  std::uint32_t all = first;
  for (int i = 0; i < 10; ++i) all += make()->pages();
  EXPECT_GT(make()->pages(), first);
  EXPECT_LE(make()->pages(), 1024U);
  EXPECT_GT(all, 11 * first);
  EXPECT_EQ(slabs_.check(), nullptr);
}

TEST_F(ShadowSlabs, AreListedWhileThereIsRoom) {
  shadow_slab* const slab = make();
  EXPECT_EQ(slabs_.with_room(c_), slab);
  EXPECT_EQ(slabs_.with_room(c_ + 1), nullptr);
  std::vector<shadow_slab::place> taken;
  while (!slab->is_full()) {
    ASSERT_EQ(slabs_.with_room(c_), slab);
    taken.push_back(take(slab));
  }
  EXPECT_EQ(slabs_.held(), taken.size() * slot_);
  EXPECT_EQ(slabs_.with_room(c_), nullptr);
  EXPECT_FALSE(slabs_.list_any(c_));
  EXPECT_EQ(slabs_.with_open_slot(c_), nullptr);
  give(slab, taken.back());
  taken.pop_back();
  EXPECT_EQ(slabs_.with_room(c_), nullptr) << "one slot is no room";
  EXPECT_EQ(slabs_.with_open_slot(c_), slab);
  EXPECT_TRUE(slabs_.list_any(c_)) << "but better than none";
  EXPECT_EQ(slabs_.with_room(c_), slab);
  EXPECT_FALSE(slabs_.forget_emptied());
  for (const shadow_slab::place& where : taken) give(slab, where);
  EXPECT_TRUE(slabs_.forget_emptied());
  EXPECT_FALSE(slabs_.forget_emptied());
  EXPECT_EQ(slabs_.held(), 0U);
  EXPECT_EQ(slabs_.check(), nullptr);
}

TEST_F(ShadowSlabs, AreUnusedAfterADecayAndNotBefore) {
  shadow_slab* const slab = make();
  const shadow_slab::place where = take(slab);
  EXPECT_FALSE(slabs_.is_unused(slab, period, 0));
  EXPECT_FALSE(slabs_.is_unused(slab, period, 5000 * ms)) << "it has a block";
  EXPECT_FALSE(slabs_.is_unused(slab, decay_period(0), 5000 * ms));
  give(slab, where);
  for (std::uint64_t t = 5001; t < 5101; ++t) ASSERT_FALSE(slabs_.is_unused(slab, period, t * ms)) << t;
  give(slab, take(slab));
  for (std::uint64_t t = 5101; t < 5201; ++t) ASSERT_FALSE(slabs_.is_unused(slab, period, t * ms)) << t;
  EXPECT_TRUE(slabs_.is_unused(slab, period, 5201 * ms));
  EXPECT_FALSE(slabs_.is_unused(slab, decay_period(no_decay), 9000 * ms));
  EXPECT_TRUE(slabs_.is_unused(slab, decay_period(0), 1));
}

TEST_F(ShadowSlabs, AreNotUnusedWhileTheyAreReserved) {
  shadow_slab* const slab = make();
  slab->reserved = true;
  for (std::uint64_t t = 0; t < 10; ++t) EXPECT_FALSE(slabs_.is_unused(slab, period, t * 100 * ms));
  give(slab, take(slab));
  EXPECT_FALSE(slabs_.is_unused(slab, period, 1000 * ms));
  EXPECT_TRUE(slabs_.is_unused(slab, period, 1100 * ms));
}

TEST_F(ShadowSlabs, EndWhenTheyAreTold) {
  shadow_slab* const first = make();
  shadow_slab* const second = make();
  make();
  test::os_script script;
  slabs_.end_if([second](const shadow_slab* slab) { return slab != second; });
  EXPECT_EQ(script.calls(test::os_call::munmap), 2U);
  EXPECT_EQ(slabs_.with_room(c_), second);
  EXPECT_EQ(second->next, nullptr);
  EXPECT_NE(first, second);
  std::size_t seen = 0;
  slabs_.visit([&seen](const shadow_slab*) { ++seen; });
  EXPECT_EQ(seen, 1U);
}

TEST_F(ShadowSlabs, SayWhatIsRefused) {
  {
    test::os_script script;
    script.fail_always(test::os_call::mmap, ENOMEM);
    EXPECT_EQ(slabs_.make(c_, object_).error.code, ENOMEM);
  }
  EXPECT_EQ(object_.take(page_bytes()), 0U) << "nor was a piece of the object used up";
  for (std::uint64_t piece = std::uint64_t{1} << 60; piece >= page_bytes(); piece /= 2) {
    static_cast<void>(object_.take(piece));
  }
  const shadow_slabs::made made = slabs_.make(c_, object_);
  EXPECT_EQ(made.slab, nullptr);
  EXPECT_EQ(made.error.code, EFBIG);
  EXPECT_EQ(slabs_.with_room(c_), nullptr);
}

}  // namespace
}  // namespace strata::mem
