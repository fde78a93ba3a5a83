// SPDX-License-Identifier: Apache-2.0
// Claims: options that cannot be are refused by name and value before anybody is asked, those at the edge are not; memory of the caller's starts
// at its first page, and what has none has no room.
#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "tests/support/recording_resource.h"
#include "tests/support/refusal.h"

import strata.pmr;

namespace strata::pmr {
namespace {

constexpr std::size_t mib = std::size_t{1} << 20;
constexpr std::size_t page = 8192;

std::string refusal_of(const fragments& options) {
  test::recording_resource upstream;
  std::string why = test::refusal_of([&] { fragment_resource<>(&upstream, options); });
  EXPECT_EQ(upstream.request_count(), 0U);
  return why;
}

TEST(FragmentOptions, ThatCannotBeAreRefusedByNameAndValue) {
  const std::string who = "strata::pmr::fragments \"x\": ";
  EXPECT_EQ(refusal_of({.name = "x", .fragment_bytes = 100}),
            who + "fragment_bytes is 100; it has to be a power of two, 16 at least");
  EXPECT_EQ(refusal_of({.name = "x", .fragment_bytes = 8}),
            who + "fragment_bytes is 8; it has to be a power of two, 16 at least");
  EXPECT_EQ(refusal_of({.name = "x", .page_bytes = 128}),
            who + "page_bytes is 128; it has to be a power of two, 256 at least");
  EXPECT_EQ(refusal_of({.name = "x", .fragment_bytes = 16, .page_bytes = 64}),
            who + "page_bytes is 64; it has to be a power of two, 128 at least");
  EXPECT_EQ(refusal_of({.name = "x", .page_bytes = 3000}),
            who + "page_bytes is 3000; it has to be a power of two, 256 at least");
  EXPECT_EQ(refusal_of({.name = "x", .region_bytes = 0}),
            who + "region_bytes is 0; it has to be whole pages, one at least");
  EXPECT_EQ(refusal_of({.name = "x", .region_bytes = page + 1}),
            who + "region_bytes is 8193; it has to be whole pages, one at least");
  EXPECT_EQ(refusal_of({.name = "x", .region_bytes = std::size_t{1} << 40}),
            who + "region_bytes is 1099511627776; a region has at most 2^30 fragments; make fragments larger");
  EXPECT_EQ(refusal_of({.name = "x", .max_regions = 0}), who + "max_regions is 0; it has to be 1 to 64");
  EXPECT_EQ(refusal_of({.name = "x", .max_regions = 65}), who + "max_regions is 65; it has to be 1 to 64");
  EXPECT_EQ(refusal_of({.name = "x", .max_regions = 2, .reserve_bytes = 1}),
            who + "max_regions is 2; a reserve is one of a fixed region; it has to be 1");
  EXPECT_EQ(refusal_of({.name = "x", .reserve_bytes = 3 * mib}),
            who + "reserve_bytes is 3145728; it has to be 2097152 at most");
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
