// SPDX-License-Identifier: Apache-2.0
// Claims beyond conformance: size and alignment reach the borrowed resource unchanged; figures count what it gave and
// what it refused.
#include <gtest/gtest.h>

#include <memory_resource>
#include <new>

#include "tests/support/recording_resource.h"

import strata.pmr;

namespace strata::pmr {
namespace {

TEST(BorrowedResource, PassesRequestsUnchangedAndCountsThem) {
  test::recording_resource upstream;  // verifies that what comes back is what was handed out
  borrowed_resource memory({.resource = &upstream});
  void* const p = memory.allocate(33, 256);
  const statistics s = memory.stats();
  EXPECT_EQ(s.live, 33U);
  EXPECT_EQ(s.upstream, 33U);
  EXPECT_EQ(memory.upstream(), nullptr) << "a source";
  memory.deallocate(p, 33, 256);
  EXPECT_EQ(memory.stats().live, 0U);
}

TEST(BorrowedResource, CountsRefusals) {
  borrowed_resource memory({.resource = std::pmr::null_memory_resource()});
  EXPECT_THROW((void)memory.allocate(1), std::bad_alloc);
  EXPECT_EQ(memory.stats().failures, 1U);
  EXPECT_EQ(memory.stats().live_blocks, 0U);
}

}  // namespace
}  // namespace strata::pmr
