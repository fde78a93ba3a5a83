// SPDX-License-Identifier: Apache-2.0
// Claims: options that cannot be are refused before anybody is asked, those at the edge are not; memory of the caller's starts
// at its first page, and what has none has no room.
#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <stdexcept>

#include "tests/support/recording_resource.h"

import strata.pmr;

namespace strata::pmr {
namespace {

constexpr std::size_t mib = std::size_t{1} << 20;
constexpr std::size_t page = 8192;

TEST(FragmentOptions, ThatCannotBeAreRefused) {
  test::recording_resource upstream;
  for (const fragments& wrong :
       {fragments{.fragment_bytes = 100}, fragments{.fragment_bytes = 8}, fragments{.page_bytes = 128},
        fragments{.page_bytes = 3000}, fragments{.region_bytes = 0}, fragments{.region_bytes = page + 1},
        fragments{.max_regions = 0}, fragments{.max_regions = 65}, fragments{.reserve_bytes = 3 * mib},
        fragments{.max_regions = 2, .reserve_bytes = 1}, fragments{.region_bytes = std::size_t{1} << 40}}) {
    EXPECT_THROW(wrong.validate(), std::invalid_argument);
    EXPECT_THROW(fragment_resource<>(&upstream, wrong), std::invalid_argument);
  }
  EXPECT_EQ(upstream.request_count(), 0U);
}

TEST(FragmentOptions, AtTheEdgeAreNot) {
  for (const fragments& right :
       {fragments{.fragment_bytes = 16}, fragments{.fragment_bytes = 128, .page_bytes = 128},
        fragments{.region_bytes = page}, fragments{.max_regions = 64}, fragments{.reserve_bytes = 2 * mib}}) {
    EXPECT_NO_THROW(right.validate());
  }
}

TEST(FragmentOptions, FindTheFirstPageInMemoryOfTheCallers) {
  alignas(page) static std::array<std::byte, 3 * page> own;
  const fragments options;
  std::size_t rest = 0;
  EXPECT_EQ(options.align_own(own, rest), own.data());
  EXPECT_EQ(rest, 3 * page);
  EXPECT_EQ(options.align_own(std::span<std::byte>(own).subspan(1), rest), own.data() + page);
  EXPECT_EQ(rest, 2 * page);
  (void)options.align_own(std::span<std::byte>(own).subspan(1, 10), rest);
  EXPECT_EQ(rest, 0U);
}

}  // namespace
}  // namespace strata::pmr
