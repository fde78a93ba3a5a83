// SPDX-License-Identifier: Apache-2.0
// Claims: for every size up to three pages and every alignment, on each choice of sides: the block is aligned and within
// its room; the tight end is as near to its guard as the alignment lets it; guards are whole pages outside the room;
// what wraps is refused.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>

import strata.mem;

namespace strata::mem {
namespace {

constexpr std::size_t page = 4096;

TEST(GuardShape, PutsEveryBlockWhereItsAlignmentAndItsGuardsWantIt) {
  for (const bool before : {false, true}) {
    for (const bool after : {false, true}) {
      for (const guard_edge tight : {guard_edge::end, guard_edge::start}) {
        for (std::size_t alignment = 1; alignment <= 16 * page; alignment *= 2) {
          for (std::size_t bytes = 0; bytes <= 3 * page; bytes += bytes < 70 || bytes % page > page - 5 ? 1 : 37) {
            guard_shape s;
            ASSERT_TRUE(shape_for({before, after, tight}, bytes, alignment, page, s));
            SCOPED_TRACE(testing::Message()
                         << before << after << static_cast<int>(tight) << ' ' << bytes << " bytes, " << alignment);
            ASSERT_EQ(s.alignment, std::max(alignment, page));
            ASSERT_EQ(s.front % alignment, 0U);
            ASSERT_EQ(s.lead % page + s.room % page + s.whole % page, 0U);
            ASSERT_EQ(s.lead, before ? s.alignment : 0);
            ASSERT_EQ(s.trail(), after ? page : 0);
            ASSERT_GE(s.front, s.lead);
            ASSERT_LE(s.front + bytes, s.lead + s.room);
            ASSERT_LT(s.front, s.whole) << "an address of its own";
            if (bytes != 0) ASSERT_LT(s.room - bytes, page) << "no page too many";
            if (tight == guard_edge::start || alignment > page) {
              ASSERT_EQ(s.front, s.lead);
            } else {
              ASSERT_EQ(s.lead + s.room - s.front, round_up(bytes == 0 && !after ? 1 : bytes, alignment));
            }
          }
        }
      }
    }
  }
}

TEST(GuardShape, EndsAtTheGuardToTheByteWhenItMay) {
  for (std::size_t bytes = 0; bytes <= 2 * page; ++bytes) {
    guard_shape s;
    ASSERT_TRUE(shape_for({}, bytes, 1, page, s));
    ASSERT_EQ(s.front + bytes, s.lead + s.room);
  }
}

TEST(GuardShape, RefusesWhatWraps) {
  guard_shape s;
  for (const std::size_t bytes : {SIZE_MAX, SIZE_MAX - 1, SIZE_MAX - page, SIZE_MAX - 2 * page, max_object + 1,
                                  max_object, max_object - page, max_object - 2 * page + 1})
    EXPECT_FALSE(shape_for({}, bytes, 1, page, s)) << bytes;
  EXPECT_TRUE(shape_for({}, max_object - 3 * page, 1, page, s));
  EXPECT_FALSE(shape_for({}, 1, std::size_t{1} << 63U, page, s));
  EXPECT_FALSE(shape_for({}, max_object - 3 * page, std::size_t{1} << 61U, page, s));
}

}  // namespace
}  // namespace strata::mem
