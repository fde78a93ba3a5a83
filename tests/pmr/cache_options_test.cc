// SPDX-License-Identifier: Apache-2.0
// Claims: items that no chunk can hold are refused by the name and the value of what is wrong, before anybody is asked; those at
// the edge are not.
#include <gtest/gtest.h>

#include <cstddef>
#include <string>

#include "tests/support/recording_resource.h"
#include "tests/support/refusal.h"

import strata.pmr;

namespace strata::pmr {
namespace {

constexpr std::size_t gib = std::size_t{1} << 30;

std::string refusal_of(const cache& options) {
  test::recording_resource upstream;
  std::string why = test::refusal_of([&] { (void)named_cache(&upstream, options); });
  EXPECT_TRUE(why.empty() || upstream.request_count() == 0);
  return why;
}

TEST(CacheOptions, ThatCannotBeAreRefusedByNameAndValue) {
  const std::string who = "strata::pmr::cache \"x\": ";
  EXPECT_EQ(refusal_of({.name = "x", .item_bytes = 3 * gib}),
            who + "item_bytes is 3221225472; it has to be 2147483648 at most");
  EXPECT_EQ(refusal_of({.name = "x", .alignment = 24}),
            who + "alignment is 24; it has to be a power of two, 1 to 2147483648");
  EXPECT_EQ(refusal_of({.name = "x", .chunk_bytes = 2 * gib + 1}),
            who + "chunk_bytes is 2147483649; it has to be 2147483648 at most");
  EXPECT_EQ(refusal_of({.name = "x", .item_bytes = gib, .min_items = 3}),
            who + "min_items is 3; a chunk of 2 GiB cannot hold so many");
}

TEST(CacheOptions, AtTheEdgeAreNot) {
  EXPECT_EQ(refusal_of({.item_bytes = 0, .alignment = 1, .chunk_bytes = 0, .min_items = 0}), "");
  EXPECT_EQ(refusal_of({.item_bytes = 1, .chunk_bytes = 2 * gib}), "");
}

}  // namespace
}  // namespace strata::pmr
