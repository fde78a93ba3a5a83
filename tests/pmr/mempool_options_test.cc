// SPDX-License-Identifier: Apache-2.0
// Claims: options that cannot be are refused with a sentence, by a pool before it asks anybody; those at the edge are not; what fragments are
// told is what the pool was.
#include <gtest/gtest.h>

#include <cstddef>
#include <string>

#include "tests/support/recording_resource.h"
#include "tests/support/refusal.h"

import strata.pmr;

namespace strata::pmr {
namespace {

std::string refusal_of(const mempool& options) {
  test::recording_resource upstream;
  std::string why = test::refusal_of([&] { mempool_resource<>(&upstream, options); });
  EXPECT_EQ(upstream.request_count(), 0U);
  return why;
}

TEST(MempoolOptions, ThatCannotBeAreRefusedByNameAndValue) {
  const std::string who = "strata::pmr::mempool \"x\": ";
  EXPECT_EQ(refusal_of({.name = "x", .heap_largest = 513}),
            who + "heap_largest is 513; it has to be at most a sixteenth of a page");
  EXPECT_EQ(refusal_of({.name = "x", .page_bytes = 2048, .heap_largest = 129}),
            who + "heap_largest is 129; it has to be at most a sixteenth of a page");
  for (const std::size_t heaps : {0U, 3U, 32U}) {
    EXPECT_EQ(refusal_of({.name = "x", .heaps = heaps}),
              who + "heaps is " + std::to_string(heaps) + "; it has to be a power of two, 1 to 16");
  }
}

TEST(MempoolOptions, AtTheEdgeAreNot) {
  for (const mempool& right :
       {mempool{.heap_largest = 512}, mempool{.heap_largest = 0}, mempool{.heaps = 1}, mempool{.heaps = 16}}) {
    EXPECT_NO_THROW((void)right.valid_fragments());
  }
}

TEST(MempoolOptions, AreWhatTheFragmentsAreTold) {
  const fragments told = mempool{.name = "x",
                                 .segment_bytes = 65536,
                                 .fragment_bytes = 128,
                                 .page_bytes = 4096,
                                 .reserve_bytes = 4096,
                                 .when_exhausted = exhaustion::aborts}
                             .valid_fragments();
  EXPECT_EQ(told.region_bytes, 65536U);
  EXPECT_EQ(told.fragment_bytes, 128U);
  EXPECT_EQ(told.page_bytes, 4096U);
  EXPECT_EQ(told.reserve_bytes, 4096U);
  EXPECT_EQ(told.when_exhausted, exhaustion::aborts);
  EXPECT_EQ(told.max_regions, 1U) << "one segment";
  EXPECT_TRUE(told.prefault) << "no page is missing later";
}

}  // namespace
}  // namespace strata::pmr
