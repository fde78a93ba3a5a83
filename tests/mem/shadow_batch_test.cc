// SPDX-License-Identifier: Apache-2.0
// Claims: a batch is full by blocks or by bytes, and old by the clock, at which not every call looks; it comes in order and
// is empty then; without one nothing waits; memory that cannot be had is an error, and nothing is left of it.
#include <gtest/gtest.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "tests/os_script/os_script.h"

import strata.mem;

namespace strata::mem {
namespace {

TEST(ShadowBatch, IsFullByBlocks) {
  shadow_batch batch({.blocks = 3, .bytes = 1000});
  ASSERT_FALSE(batch.open().failed());
  EXPECT_TRUE(batch.is_on());
  for (const std::uint32_t page : {7U, 3U}) batch.add(page, 10);
  EXPECT_FALSE(batch.is_full());
  batch.add(5, 10);
  EXPECT_TRUE(batch.is_full());
  EXPECT_EQ(batch.blocks(), 3U);
  EXPECT_EQ(batch.bytes(), 30U);
  const auto sorted = batch.sorted();
  EXPECT_EQ(std::vector(sorted.begin(), sorted.end()), (std::vector{3U, 5U, 7U}));
  batch.clear();
  EXPECT_EQ(batch.blocks(), 0U);
  EXPECT_EQ(batch.bytes(), 0U);
  EXPECT_FALSE(batch.is_full());
  EXPECT_TRUE(batch.sorted().empty());
}

TEST(ShadowBatch, IsFullByBytes) {
  shadow_batch batch({.blocks = 100, .bytes = 1000});
  ASSERT_FALSE(batch.open().failed());
  batch.add(1, 1000);
  EXPECT_FALSE(batch.is_full());
  batch.add(2, 1);
  EXPECT_TRUE(batch.is_full());
}

TEST(ShadowBatch, IsOldByTheClock) {
  constexpr std::uint64_t hour = 3600 * std::uint64_t{1'000'000'000};
  shadow_batch batch({.blocks = 100, .bytes = 1000, .nanoseconds = hour});
  ASSERT_FALSE(batch.open().failed());
  EXPECT_FALSE(batch.is_old(UINT64_MAX)) << "nothing waits";
  const std::uint64_t before = monotonic_ns();
  batch.add(1, 1);
  const std::uint64_t after = monotonic_ns();
  EXPECT_FALSE(batch.is_old(0));
  EXPECT_FALSE(batch.is_old(before + hour - 1));
  EXPECT_TRUE(batch.is_old(after + hour));
  for (int call = 0; call < 100; ++call) EXPECT_FALSE(batch.is_old());
}

TEST(ShadowBatch, LooksAtTheClockWithEach32ndCall) {
  shadow_batch batch({.blocks = 100, .bytes = 1000, .nanoseconds = 0});
  ASSERT_FALSE(batch.open().failed());
  batch.add(1, 1);
  test::os_script script;
  for (int call = 1; call < 32; ++call) EXPECT_FALSE(batch.is_old()) << call;
  EXPECT_TRUE(batch.is_old());
}

TEST(ShadowBatch, TakesNothingWhereNothingWaits) {
  test::os_script script;
  shadow_batch batch({.blocks = 1});
  EXPECT_FALSE(batch.open().failed());
  EXPECT_FALSE(batch.is_on());
  EXPECT_EQ(script.calls(test::os_call::mmap), 0U);
}

TEST(ShadowBatch, SaysThatItsMemoryWasRefused) {
  EXPECT_EQ(shadow_batch({.blocks = SIZE_MAX / 2}).open().code, ENOMEM);
  test::os_script script;
  script.fail_always(test::os_call::mmap, ENOMEM);
  EXPECT_EQ(shadow_batch({.blocks = 1000}).open().code, ENOMEM);
  EXPECT_EQ(script.mapped_bytes(), 0U);
}

}  // namespace
}  // namespace strata::mem
