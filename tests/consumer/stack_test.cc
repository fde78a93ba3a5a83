// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

import strata.platform;

TEST(Consumer, Clock) { EXPECT_GT(strata::platform::monotonic_ns(), 0u) << absl::StrCat("a", 1); }
