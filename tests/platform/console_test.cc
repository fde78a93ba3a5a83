// SPDX-License-Identifier: Apache-2.0
// Claims: a text goes to standard error whole, whatever its length; errno is kept, also when nobody listens.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <string>

import strata.platform;

namespace strata::platform {
namespace {

TEST(Console, WritesAllOfATextToStandardError) {
  const std::string text(20'000, 'x');
  testing::internal::CaptureStderr();
  errno = 17;
  write_to_console(text);
  EXPECT_EQ(errno, 17);
  EXPECT_EQ(testing::internal::GetCapturedStderr(), text);
}

TEST(Console, KeepsErrnoWhenNobodyListens) {
  const int kept = ::dup(STDERR_FILENO);
  const int nowhere = ::open("/dev/full", O_WRONLY);
  ASSERT_GE(nowhere, 0);
  ::dup2(nowhere, STDERR_FILENO);
  errno = 17;
  write_to_console("nobody reads this");
  const int after = errno;
  ::dup2(kept, STDERR_FILENO);
  ::close(kept);
  ::close(nowhere);
  EXPECT_EQ(after, 17);
}

}  // namespace
}  // namespace strata::platform
