// SPDX-License-Identifier: Apache-2.0
// Claims: the platform's hook is to be had here.
#include <gtest/gtest.h>

import strata.mem;

namespace strata::mem {
namespace {

TEST(Fault, PassesTheHookOn) {
  EXPECT_FALSE(install_fault_hook([](const memory_fault&) noexcept {}).failed());
  EXPECT_FALSE(uninstall_fault_hook().failed());
}

}  // namespace
}  // namespace strata::mem
