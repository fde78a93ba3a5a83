// SPDX-License-Identifier: Apache-2.0
// Claims, on Solaris: the large page is the system's second size; advice goes to the whole large pages of a range and to
// nothing else, and what came of it is read back; where advice is not followed, that is told; there are no pools and no
// collapse; each call may fail.
#include <gtest/gtest.h>

#include <cerrno>
#include <cstddef>

#include "tests/fakes/solaris/machine.h"

import strata.platform;

namespace {

namespace platform = strata::platform;
using strata::fake_solaris::fresh_machine;

constexpr std::size_t kLarge = std::size_t{2} << 20;

struct LargePageSolaris : testing::Test {
  static constexpr std::size_t bytes = 3 * kLarge;
  fresh_machine machine;
  char* base = static_cast<char*>(platform::map(bytes, kLarge).base);
  ~LargePageSolaris() override { EXPECT_FALSE(platform::unmap(base, bytes).failed()); }

  [[nodiscard]] platform::backing what() const {
    platform::backing found;
    EXPECT_FALSE(platform::backing_of(base, bytes, found).failed());
    return found;
  }
};

TEST_F(LargePageSolaris, SizeIsTheSecondOfTheSystems) {
  EXPECT_EQ(platform::large_page_size(), kLarge);
  machine->page_size_count = 1;
  EXPECT_EQ(platform::large_page_size(), 0U);
  EXPECT_EQ(platform::advise_large(base, bytes).code, EINVAL);
}

TEST_F(LargePageSolaris, AdviceIsReadBack) {
  EXPECT_EQ(what().resident, 0U);
  ASSERT_FALSE(platform::advise_large(base, bytes).failed());
  ASSERT_FALSE(platform::prefault(base, kLarge).failed());
  EXPECT_EQ(what().resident, kLarge);
  EXPECT_EQ(what().large, kLarge);
}

TEST_F(LargePageSolaris, AdviceThatIsNotFollowedIsTold) {
  machine->gives_large_pages = false;
  ASSERT_FALSE(platform::advise_large(base, bytes).failed()) << "it is advice";
  ASSERT_FALSE(platform::prefault(base, kLarge).failed());
  EXPECT_EQ(what().resident, kLarge);
  EXPECT_EQ(what().large, 0U);
}

TEST_F(LargePageSolaris, AdviceGoesToWholeLargePagesOnly) {
  const std::size_t page = platform::page_size();
  ASSERT_FALSE(platform::advise_large(base + page, bytes - 2 * page).failed());
  ASSERT_FALSE(platform::prefault(base, bytes).failed());
  EXPECT_EQ(what().resident, bytes);
  EXPECT_EQ(what().large, kLarge) << "the one in the middle";
  machine.fail("memcntl", 1, EINVAL);
  EXPECT_FALSE(platform::advise_large(base + page, kLarge).failed()) << "no whole one in it: nothing is asked";
}

TEST_F(LargePageSolaris, ThereAreNoPoolsAndThereIsNoCollapse) {
  EXPECT_EQ(platform::map_large(kLarge, kLarge).base, nullptr);
  EXPECT_EQ(platform::map_large(kLarge, kLarge).error.code, EINVAL);
  EXPECT_EQ(platform::collapse(base, bytes).code, EINVAL);
}

TEST_F(LargePageSolaris, EachCallMayFail) {
  machine.fail("getpagesizes", 1, EINVAL);
  EXPECT_EQ(platform::large_page_size(), 0U);
  for (const int code : {EINVAL, ENOMEM, EAGAIN}) {
    machine.fail("memcntl", 1, code);
    const auto refused = platform::advise_large(base, bytes);
    EXPECT_STREQ(refused.call, "memcntl");
    EXPECT_EQ(refused.code, code);
    base[0] = 1;
    machine.fail("meminfo", 1, code);
    platform::backing found;
    const auto untold = platform::backing_of(base, bytes, found);
    EXPECT_STREQ(untold.call, "meminfo");
    EXPECT_EQ(found.resident, 0U);
  }
}

}  // namespace
