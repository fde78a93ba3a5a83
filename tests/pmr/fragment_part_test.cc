// SPDX-License-Identifier: Apache-2.0
// Claims: what a part takes bears its tag, whoever asks; it goes back through a part of that tag, not through another; a
// critical part may use the reserve; a part is equal to itself alone.
#include <gtest/gtest.h>

#include <cstddef>
#include <memory_resource>
#include <new>
#include <vector>

#include "tests/support/recording_resource.h"

import strata.pmr;

namespace strata::pmr {
namespace {

constexpr std::size_t page = 8192;
std::vector<misuse> reports;

TEST(FragmentPart, TakesInItsName) {
  test::recording_resource upstream;
  fragment_resource memory(&upstream);
  fragment_part part(&memory, 7);
  std::pmr::vector<int> numbers(1000, 1, &part);
  EXPECT_EQ(part.tag(), 7);
  EXPECT_EQ(memory.owner(numbers.data()).tag, 7);
  EXPECT_EQ(memory.owner(numbers.data() + 999).tag, 7);
}

TEST(FragmentPart, WantsBackWhatBearsItsTag) {
  reports.clear();
  set_misuse_handler([](const misuse& what) { reports.push_back(what); });
  test::recording_resource upstream;
  fragment_resource memory(&upstream);
  fragment_part one(&memory, 1);
  fragment_part same(&memory, 1);
  fragment_part other(&memory, 2);
  void* const p = one.allocate(100);
  other.deallocate(p, 100);
  ASSERT_EQ(reports.size(), 1U);
  EXPECT_STREQ(reports[0].sentence, "deallocated a block through another owner than it was allocated through");
  EXPECT_TRUE(memory.owns(p));
  same.deallocate(p, 100);
  EXPECT_FALSE(memory.owns(p));
  EXPECT_EQ(reports.size(), 1U);
  EXPECT_TRUE(one.is_equal(one));
  EXPECT_FALSE(one.is_equal(same));
  set_misuse_handler(nullptr);
}

TEST(FragmentPart, MayUseTheReserveWhenCritical) {
  test::recording_resource upstream;
  fragment_resource memory(&upstream, {.region_bytes = 2 * page, .reserve_bytes = page});
  fragment_part ordinary(&memory, 1);
  fragment_part critical(&memory, 2, true);
  void* const p = ordinary.allocate(page);
  EXPECT_THROW((void)ordinary.allocate(1), std::bad_alloc);
  void* const q = critical.allocate(page);
  ordinary.deallocate(p, page);
  critical.deallocate(q, page);
}

}  // namespace
}  // namespace strata::pmr
