// SPDX-License-Identifier: Apache-2.0
// Claims: blocks of any size and alignment come from upstream, aligned, and go back with what upstream was asked; a
// failure changes nothing but the count of failures; what comes back wrongly is told and stays; release gives all back;
// figures add up.
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>

#include "tests/support/failing_resource.h"
#include "tests/support/recording_resource.h"

import strata.mem;
import strata.pmr;

namespace strata::pmr {
namespace {

template <mem::threads Threads>
struct form {
  static constexpr mem::threads value = Threads;
};

template <class Form>
struct OtherBlocks : testing::Test {
  test::recording_resource recorder;
  test::failing_resource upstream{&recorder};
  other_blocks<test::failing_resource, Form::value> blocks{&upstream};

  void expect_sums() {
    const statistics s = blocks.stats();
    EXPECT_EQ(s.upstream, s.live + s.kept + s.overhead);
    EXPECT_EQ(s.upstream, recorder.live().bytes);
    EXPECT_EQ(s.live_blocks, recorder.live().blocks);
  }
};
using Forms = testing::Types<form<mem::threads::any>, form<mem::threads::one>>;
TYPED_TEST_SUITE(OtherBlocks, Forms);

TYPED_TEST(OtherBlocks, AreOfAnySizeAndAlignment) {
  for (const std::size_t bytes : {0U, 1U, 100U, 100'000U}) {
    for (std::size_t alignment = 1; alignment <= 4096; alignment *= 4) {
      void* const p = this->blocks.allocate("test", bytes, alignment);
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(p) % alignment, 0U);
      std::memset(p, 0x5A, bytes);
      this->expect_sums();
      EXPECT_EQ(this->blocks.deallocate(p, bytes), mem::owned_fault::none);
    }
  }
  this->expect_sums();
}

TYPED_TEST(OtherBlocks, ChangeNothingWhenUpstreamFails) {
  this->upstream.from(1);
  EXPECT_THROW((void)this->blocks.allocate("test", 100, 8), std::bad_alloc);
  EXPECT_EQ(this->blocks.stats().failures, 1U);
  EXPECT_EQ(this->blocks.stats().live_blocks, 0U);
  this->upstream.never();
  EXPECT_THROW((void)this->blocks.allocate("test", mem::max_object, 8), allocation_error);
  EXPECT_EQ(this->blocks.stats().failures, 2U);
  this->expect_sums();
}

TYPED_TEST(OtherBlocks, StayWhenTheyComeBackWrongly) {
  other_blocks<test::failing_resource, TypeParam::value> others(&this->upstream);
  void* const p = this->blocks.allocate("test", 100, 8);
  EXPECT_EQ(this->blocks.deallocate(p, 101), mem::owned_fault::other_size);
  EXPECT_EQ(others.deallocate(p, 100), mem::owned_fault::not_live);
  EXPECT_EQ(this->blocks.stats().live, 100U);
  EXPECT_EQ(this->blocks.deallocate(p, 100), mem::owned_fault::none);
}

TYPED_TEST(OtherBlocks, GoBackWithTheirOwner) {
  for (std::size_t i = 1; i < 10; ++i) (void)this->blocks.allocate("test", 10 * i, 8);
  this->blocks.release();
  EXPECT_EQ(this->recorder.live().blocks, 0U);
  EXPECT_EQ(this->blocks.stats().live, 0U);
  EXPECT_EQ(this->blocks.stats().allocations, 9U);
  this->expect_sums();
}

}  // namespace
}  // namespace strata::pmr
