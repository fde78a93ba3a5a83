// SPDX-License-Identifier: Apache-2.0
// Claims: options have the defaults that are documented; what cannot be is refused in a sentence that names the layer.
#include <gtest/gtest.h>

#include <cstddef>
#include <memory_resource>
#include <stdexcept>
#include <string>

import strata.pmr;

namespace strata::pmr {
namespace {

TEST(TrackingOptions, KnowEveryBlockAndTellLeaksUnlessToldOtherwise) {
  constexpr std::size_t every = 0;
  const tracking options;
  EXPECT_EQ(options.sample_bytes, every);
  EXPECT_TRUE(options.leaks_at_end);
  tracking_adaptor memory(std::pmr::new_delete_resource());
  EXPECT_EQ(memory.sampling_period(), 1U);
  EXPECT_STREQ(memory.profiled_resource(), "tracking");
  EXPECT_STREQ(memory.profiled_layer(), "tracking");
}

TEST(TrackingOptions, NameTheResource) {
  tracking_adaptor memory(std::pmr::new_delete_resource(),
                          {.name = "track", .resource = "orders", .sample_bytes = 4096});
  EXPECT_STREQ(memory.profiled_resource(), "orders");
  EXPECT_STREQ(memory.profiled_layer(), "track");
  EXPECT_EQ(memory.sampling_period(), 4096U);
}

TEST(TrackingOptions, ThatCannotBeAreRefusedByName) {
  try {
    tracking_adaptor memory(std::pmr::new_delete_resource(), {.name = "orders", .stack_depth = 40});
    FAIL() << "was constructed";
  } catch (const std::invalid_argument& e) {
    EXPECT_EQ(std::string(e.what()), "strata::pmr::tracking \"orders\": stack_depth is 40; it has to be 32 at most");
  }
}

}  // namespace
}  // namespace strata::pmr
