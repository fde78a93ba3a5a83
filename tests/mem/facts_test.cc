// SPDX-License-Identifier: Apache-2.0
// Claim: the platform's facts come through this floor.
#include <gtest/gtest.h>

#include <cstdint>

import strata.mem;

namespace strata::mem {
namespace {

TEST(Facts, ComeThrough) {
  std::uint64_t base = 0;
  facts([&](const fact& f) {
    if (f.group == "pages" && f.name == "base") base = f.number;
  });
  EXPECT_EQ(base, page_bytes());
}

}  // namespace
}  // namespace strata::mem
