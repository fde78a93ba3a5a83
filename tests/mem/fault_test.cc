// SPDX-License-Identifier: Apache-2.0
// Claims: the platform's hook is to be had here; whether AddressSanitizer is in the build is known.
#include <gtest/gtest.h>

#include "tests/support/sanitizer.h"

import strata.mem;

namespace strata::mem {
namespace {

TEST(Fault, PassesTheHookOn) {
  EXPECT_FALSE(install_fault_hook([](const memory_fault&) noexcept {}).failed());
  EXPECT_FALSE(uninstall_fault_hook().failed());
  EXPECT_EQ(has_address_sanitizer, test::under_asan);
}

}  // namespace
}  // namespace strata::mem
