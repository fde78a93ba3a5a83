// SPDX-License-Identifier: Apache-2.0
// Claim, on Solaris: there are no guards, and each call says so without touching the range.
#include <gtest/gtest.h>

#include <cerrno>
#include <cstddef>

#include "tests/fakes/solaris/machine.h"

import strata.platform;

namespace {

namespace platform = strata::platform;

TEST(GuardSolaris, IsNotThereAndSaysSo) {
  const strata::fake_solaris::fresh_machine machine;
  EXPECT_EQ(platform::guards_supported(), platform::guard_support::none);
  const std::size_t page = platform::page_size();
  const auto got = platform::map(page, page);
  ASSERT_NE(got.base, nullptr);
  auto* const byte = static_cast<volatile char*>(got.base);
  *byte = 'x';
  EXPECT_EQ(platform::guard(got.base, page).code, ENOTSUP);
  EXPECT_EQ(platform::unguard(got.base, page).code, ENOTSUP);
  EXPECT_EQ(*byte, 'x');
  EXPECT_FALSE(platform::unmap(got.base, page).failed());
}

}  // namespace
