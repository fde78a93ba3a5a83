// SPDX-License-Identifier: Apache-2.0
// Claims: a class of the program's own can be a profile_source and be written down; a tracking_adaptor is one.
#include <gtest/gtest.h>

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdio>

import strata.pmr;

namespace strata::pmr {
namespace {

class own_source final : public profile_source {
 public:
  const char* profiled_resource() const noexcept override { return "own"; }
  const char* profiled_layer() const noexcept override { return "counter"; }
  std::size_t sampling_period() const noexcept override { return 1; }
  std::size_t places() const noexcept override { return 1; }
  profiled_place place(std::size_t) const noexcept override {
    return {.stack = stack_, .allocations = 3, .allocated = 300, .live_blocks = 1, .live = 100};
  }

 private:
  int here_ = 0;
  std::array<const void*, 1> stack_{&here_};
};

TEST(ProfileSource, MayBeTheProgramsOwn) {
  const own_source mine;
  const profile_source* const all[] = {&mine};
  std::FILE* const file = std::tmpfile();
  ASSERT_NE(file, nullptr);
  EXPECT_FALSE(write_heap_profile(file, all).failed());
  EXPECT_GT(std::ftell(file), 100);
  std::fclose(file);
}

TEST(ProfileSource, IsWhatATrackingAdaptorIs) {
  static_assert(std::derived_from<tracking_adaptor<>, profile_source>);
  static_assert(std::derived_from<tracking_adaptor<>, layer>);
}

}  // namespace
}  // namespace strata::pmr
