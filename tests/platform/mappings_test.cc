// SPDX-License-Identifier: Apache-2.0
// Claims:
//  * the limit is what the system says, the usual one when it does not say
//  * mappings are counted, as they come and go, without asking the heap for memory and whatever a read is cut to
//  * what cannot be read is 0, not part of a figure
#include <gtest/gtest.h>

#include <cerrno>
#include <cstddef>
#include <fstream>
#include <string>

#include "tests/os_script/os_script.h"
#include "tests/platform/fake_tree.h"
#include "tests/support/sanitizer.h"

import strata.platform;

namespace {

namespace platform = strata::platform;
namespace test = strata::test;
using strata::test::os_call;
using strata::test::os_script;

class Mappings : public strata::test::fake_tree {};

TEST_F(Mappings, LimitIsTheSystems) {
  std::size_t told = 0;
  std::ifstream("/proc/sys/vm/max_map_count") >> told;
  if (told != 0) EXPECT_EQ(platform::mapping_limit(), told);
  write("/proc/sys/vm/max_map_count", "262144\n");
  EXPECT_EQ(platform::mapping_limit(root()), 262144U);
}

TEST_F(Mappings, LimitIsTheUsualOneWhenTheSystemDoesNotSay) {
  EXPECT_EQ(platform::mapping_limit(root()), 65530U);
  write("/proc/sys/vm/max_map_count", "many\n");
  EXPECT_EQ(platform::mapping_limit(root()), 65530U);
}

TEST_F(Mappings, AreCountedAsTheyComeAndGo) {
  const std::size_t page = platform::page_size();
  constexpr std::size_t kPages = 2000;  // more text than one read takes
  const auto range = platform::reserve(kPages * page, page);
  ASSERT_NE(range.base, nullptr);
  // A sanitizer maps a few of its own along the way.
  constexpr std::size_t kTheirs = test::under_asan || test::under_tsan ? 100 : 0;
  const std::size_t before = platform::mappings_now();
  EXPECT_GT(before, 5U);
  for (std::size_t i = 1; i < kPages; i += 2)
    ASSERT_FALSE(platform::commit(static_cast<char*>(range.base) + i * page, page).failed());
  // The last committed page ends the range: no reservation behind it.
  EXPECT_NEAR(static_cast<double>(platform::mappings_now()), static_cast<double>(before + kPages - 1), kTheirs);
  for (std::size_t i = 1; i < kPages; i += 2)
    ASSERT_FALSE(platform::uncommit(static_cast<char*>(range.base) + i * page, page).failed());
  EXPECT_NEAR(static_cast<double>(platform::mappings_now()), static_cast<double>(before), kTheirs);
  EXPECT_FALSE(platform::unmap(range.base, kPages * page).failed());
}

TEST_F(Mappings, AreTheLinesOfTheFile) {
  EXPECT_EQ(platform::mappings_now(root()), 0U);
  std::string lines;
  for (int i = 0; i < 3000; ++i)
    lines += "7f00-7f01 rw-p 0 0:0 0 " + std::string(static_cast<std::size_t>(i % 90), 'x') + '\n';
  write("/proc/self/maps", lines);
  EXPECT_EQ(platform::mappings_now(root()), 3000U);
}

TEST_F(Mappings, ThatCannotBeReadToTheEndAreNoFigure) {
  write("/proc/self/maps", std::string(40'000, '\n'));
  os_script script;
  script.fail(os_call::read, 1, EINTR);
  EXPECT_EQ(platform::mappings_now(root()), 40'000U);
  script.fail(os_call::read, 2, EIO);
  EXPECT_EQ(platform::mappings_now(root()), 0U);
  script.fail(os_call::open, 1, EMFILE);
  EXPECT_EQ(platform::mappings_now(root()), 0U);
  script.fail(os_call::open, 1, EMFILE);
  EXPECT_EQ(platform::mapping_limit(), 65530U);
  EXPECT_EQ(script.calls(os_call::open), script.calls(os_call::close) + 2);
}

}  // namespace
