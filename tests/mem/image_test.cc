// SPDX-License-Identifier: Apache-2.0
// Claim: what the platform tells of code reaches the floor above.
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>

import strata.mem;

namespace strata::mem {
namespace {

TEST(Image, PassesThePlatformsOn) {
  const auto function = reinterpret_cast<std::uintptr_t>(&page_bytes);
  bool found = false;
  image each;
  for (std::size_t i = 0; image_at(i, each); ++i) found = found || (function >= each.start && function < each.limit);
  EXPECT_TRUE(found);
}

}  // namespace
}  // namespace strata::mem
