// SPDX-License-Identifier: Apache-2.0
// Claim, on Solaris: there is no such call, and it says so.
#include <gtest/gtest.h>

#include <cerrno>

import strata.platform;

namespace {

TEST(BarrierSolaris, IsNotThereAndSaysSo) { EXPECT_EQ(strata::platform::process_barrier().code, ENOTSUP); }

}  // namespace
