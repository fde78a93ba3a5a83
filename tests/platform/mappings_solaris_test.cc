// SPDX-License-Identifier: Apache-2.0
// Claim, on Solaris: mappings have no bound of their own, and are not counted.
#include <gtest/gtest.h>

#include <cstddef>
#include <limits>

import strata.platform;

namespace {

namespace platform = strata::platform;

TEST(MappingsSolaris, HaveNoBound) {
  EXPECT_EQ(platform::mapping_limit(), std::numeric_limits<std::size_t>::max());
  EXPECT_EQ(platform::mappings_now(), 0U);
}

}  // namespace
