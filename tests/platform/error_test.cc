// SPDX-License-Identifier: Apache-2.0
// Claims: an error is a value that says which call failed and how; the absence of one is a value as well;
// an errno has a name, and a number that is none has not.
#include <gtest/gtest.h>

#include <cerrno>
#include <type_traits>

import strata.platform;

namespace {

using strata::platform::name_of;
using strata::platform::os_error;
using strata::platform::success;

TEST(OsError, FailedWhenACallIsNamed) {
  static_assert(!success.failed());
  static_assert(!os_error{}.failed());
  constexpr os_error refused{"mmap", 12};
  static_assert(refused.failed());
  EXPECT_STREQ(refused.call, "mmap");
  EXPECT_EQ(refused.code, 12);
}

TEST(OsError, IsCopiedWithoutAnythingToDo) {
  EXPECT_TRUE(std::is_trivially_copyable_v<os_error>);
  EXPECT_LE(sizeof(os_error), 2 * sizeof(void*));
}

TEST(OsError, HasTheNameOfItsErrno) {
  EXPECT_STREQ(name_of(os_error{"mmap", ENOMEM}), "ENOMEM");
  EXPECT_STREQ(name_of(os_error{"madvise", EFAULT}), "EFAULT");
  EXPECT_STREQ(name_of(os_error{"mmap", 99'999}), "an unknown errno");
  EXPECT_STREQ(name_of(os_error{"mmap", -1}), "an unknown errno");
}

}  // namespace
