// SPDX-License-Identifier: Apache-2.0
// Claims: zones are claimed lowest first, in rows, blank, and never twice at a time; they come back at once, after the
// quarantine by bytes or by time, or never; what was known stays known until then; an address tells its block; a
// refused area or record is an error, and a small area is taken where a large one is refused.
#include <gtest/gtest.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>

#include "tests/os_script/os_script.h"

import strata.mem;

namespace strata::mem {
namespace {

class ShadowSpace : public testing::Test {
 protected:
  ShadowSpace() { EXPECT_FALSE(space_.open().failed()); }

  std::uint32_t claim(std::uint32_t count = 1) { return space_.claim(count, this, "test"); }

  shadow_space& space_ = shadow_space::of_process();
};

constexpr shadow_hold at_once{.reuse = shadow_reuse::at_end};

TEST(ShadowSpaceAtFirst, TakesASmallAreaWhereALargeOneIsRefused) {  // first in this program: the area is for good
  shadow_space& space = shadow_space::of_process();
  EXPECT_EQ(space.extent(), 0U);
  EXPECT_FALSE(space.contains(&space));
  {
    test::os_script script;
    script.fail_always(test::os_call::mmap, ENOMEM);
    EXPECT_EQ(space.open().code, ENOMEM);
    EXPECT_EQ(script.mapped_bytes(), 0U);
  }
  test::os_script script;
  script.fail(test::os_call::mmap, 1, ENOMEM);
  EXPECT_FALSE(space.open().failed());
  EXPECT_GE(space.extent(), 4 * space.zone_bytes());
}

TEST_F(ShadowSpace, ClaimsTheLowestZonesInRows) {
  const std::uint32_t a = claim();
  const std::uint32_t b = claim(2);
  const std::uint32_t c = claim();
  EXPECT_EQ(b, a + 1);
  EXPECT_EQ(c, b + 2);
  EXPECT_EQ(space_.claimed_bytes(), 4 * space_.zone_bytes());
  space_.release(a, 1, at_once);
  space_.release(c, 1, at_once);
  EXPECT_EQ(claim(2), c);  // a alone is no row
  EXPECT_EQ(claim(), a);
  space_.release(a, 4, at_once);
  space_.release(c + 1, 1, at_once);
  EXPECT_EQ(space_.claimed_bytes(), 0U);
}

TEST_F(ShadowSpace, TellsTheBlockOfAnAddressUntilItsZoneServesAgain) {
  const std::uint32_t z = claim();
  std::byte* const base = space_.base_of_zone(z);
  EXPECT_TRUE(space_.contains(base));
  EXPECT_FALSE(space_.block_at(base).is_there);
  const std::size_t page = space_.page_of(base);
  space_.record(page).write({.state = shadow_state::live, .alignment_log2 = 3, .offset = 40, .bytes = 5000, .made = 7});
  space_.record(page + 1).write({.state = shadow_state::inside, .bytes = 1});
  const shadow_space::found second = space_.block_at(base + space_.page_size() + 9);
  EXPECT_TRUE(second.is_there);
  EXPECT_EQ(second.block, base + 40);
  EXPECT_EQ(second.note.bytes, 5000U);
  EXPECT_EQ(second.note.made, 7U);
  EXPECT_FALSE(space_.block_at(base + 2 * space_.page_size()).is_there);

  space_.release(z, 1, at_once);
  EXPECT_STREQ(space_.known_zone(base)->name.data(), "test");
  EXPECT_TRUE(space_.block_at(base).is_there);
  EXPECT_EQ(claim(), z);
  EXPECT_FALSE(space_.block_at(base).is_there);
  space_.release(z, 1, at_once);
}

TEST_F(ShadowSpace, KeepsZonesDeadByBytesByTimeAndForEver) {
  const shadow_hold by_bytes{.reuse = shadow_reuse::quarantine, .bytes = space_.zone_bytes()};
  const shadow_hold by_time{.reuse = shadow_reuse::quarantine, .nanoseconds = 1};
  const std::uint32_t a = claim(2);
  space_.release(a, 2, by_bytes);
  EXPECT_EQ(space_.quarantined_bytes(), 2 * space_.zone_bytes());
  EXPECT_EQ(claim(), a);  // two are more than it holds: the oldest goes
  const std::uint32_t b = claim();
  EXPECT_NE(b, a + 1);
  space_.release(a, 1, by_time);
  space_.release(b, 1, {.reuse = shadow_reuse::never});
  const std::uint32_t c = claim();
  EXPECT_NE(c, b);
  space_.release(c, 1, at_once);
}

TEST_F(ShadowSpace, RefusesWhatCannotBe) {
  EXPECT_EQ(claim(static_cast<std::uint32_t>(space_.extent() / space_.zone_bytes()) + 1), no_zone);
  test::os_script script;
  script.fail_always(test::os_call::mprotect, ENOMEM);
  script.fail_always(test::os_call::madvise, ENOMEM);
  EXPECT_EQ(claim(), no_zone);
  EXPECT_EQ(space_.claimed_bytes(), 0U);
}

}  // namespace
}  // namespace strata::mem
