// SPDX-License-Identifier: Apache-2.0
// Claims: a build with assertions or a sanitizer is checked, an optimised one without either is not.
#include <gtest/gtest.h>

#include <cstdlib>
#include <string_view>

import strata.mem;

namespace strata::mem {
namespace {

TEST(Checked, IsEveryConfigurationButTheOptimisedOne) {
  const char* const configuration = std::getenv("STRATA_CONFIG");
  ASSERT_NE(configuration, nullptr) << "run by bazel test";
  EXPECT_EQ(checked, configuration != std::string_view("opt")) << configuration;
}

}  // namespace
}  // namespace strata::mem
