// SPDX-License-Identifier: Apache-2.0
// Claims: a scope tells what came and went in it and by how much what is live has changed, down as well as up; a peak is
// seen by every scope that was open, and by none that was not; the whole time has a peak too; scopes nest as deep as is
// said.
#include <gtest/gtest.h>

#include <cstddef>

import strata.mem;

namespace strata::mem {
namespace {

/// Counts that go with scopes, as an owner has them.
struct memory {
  usage_scopes scopes;
  metered now;

  void allocate(std::size_t bytes) {
    ++now.allocations;
    now.handed_out += bytes;
    scopes.note(now.live());
  }
  void deallocate(std::size_t bytes) {
    ++now.deallocations;
    now.taken_back += bytes;
  }
};

TEST(UsageScopes, TellWhatCameAndWent) {
  memory m;
  m.allocate(100);
  m.scopes.push(m.now);
  m.allocate(50);
  m.allocate(30);
  m.deallocate(50);
  m.deallocate(100);  // one of before
  const scope_usage scope = m.scopes.pop(m.now);
  EXPECT_EQ(scope.allocations, 2U);
  EXPECT_EQ(scope.deallocations, 2U);
  EXPECT_EQ(scope.allocated, 80U);
  EXPECT_EQ(scope.deallocated, 150U);
  EXPECT_EQ(scope.live_blocks, 0);
  EXPECT_EQ(scope.live, -70);
  EXPECT_EQ(scope.peak, 180U);
  EXPECT_EQ(scope.peak_above_start, 80U);
  EXPECT_EQ(m.scopes.depth(), 0U);
}

TEST(UsageScopes, APeakIsSeenByEveryScopeThatWasOpen) {
  memory m;
  m.allocate(1000);
  m.deallocate(1000);
  m.scopes.push(m.now);  // outer
  m.allocate(10);
  m.scopes.push(m.now);  // inner, with a peak of its own
  m.allocate(500);
  m.deallocate(500);
  EXPECT_EQ(m.scopes.pop(m.now).peak, 510U);
  m.scopes.push(m.now);  // another, after it
  m.allocate(5);
  const scope_usage later = m.scopes.pop(m.now);
  EXPECT_EQ(later.peak, 15U);
  EXPECT_EQ(later.peak_above_start, 5U);
  const scope_usage outer = m.scopes.pop(m.now);
  EXPECT_EQ(outer.peak, 510U);
  EXPECT_EQ(outer.allocations, 3U);
  EXPECT_EQ(m.scopes.peak(), 1000U);
}

TEST(UsageScopes, AScopeThatOnlyFreesPeaksAtItsStart) {
  memory m;
  m.allocate(64);
  m.scopes.push(m.now);
  m.deallocate(64);
  const scope_usage scope = m.scopes.pop(m.now);
  EXPECT_EQ(scope.peak, 64U);
  EXPECT_EQ(scope.peak_above_start, 0U);
  EXPECT_EQ(scope.live_blocks, -1);
}

TEST(UsageScopes, NestAsDeepAsTheySay) {
  memory m;
  for (std::size_t i = 0; i < usage_scopes::deepest; ++i) {
    ASSERT_FALSE(m.scopes.is_full());
    m.scopes.push(m.now);
    m.allocate(1);
  }
  EXPECT_TRUE(m.scopes.is_full());
  EXPECT_EQ(m.scopes.peak(), usage_scopes::deepest);
  for (std::size_t i = 1; i <= usage_scopes::deepest; ++i) {
    EXPECT_EQ(m.scopes.pop(m.now).live, static_cast<std::ptrdiff_t>(i));
  }
}

}  // namespace
}  // namespace strata::mem
