// SPDX-License-Identifier: Apache-2.0
// Claims, on Solaris: a limit below what is managed is the zone's; file systems in memory are those whose type says so.
#include <gtest/gtest.h>

#include <array>
#include <cerrno>

#include "tests/fakes/solaris/machine.h"

import strata.platform;

namespace {

namespace platform = strata::platform;
using strata::fake_solaris::fresh_machine;

TEST(MachineSolaris, ALimitOfTheZoneIsNamed) {
  const fresh_machine machine;
  EXPECT_EQ(platform::limit_origin().view(), "machine");
  machine->zone_cap = 1000;
  EXPECT_EQ(platform::limit_origin().view(), "zone.capped-memory");
}

TEST(MachineSolaris, FileSystemsInMemoryAreThoseWhoseTypeSaysSo) {
  const fresh_machine machine;
  std::array<platform::memory_file_system, 8> found;
  const std::size_t with = platform::memory_file_systems(found);
  ASSERT_GE(with, 1U);
  EXPECT_EQ(found[0].path.view(), "/tmp");
  EXPECT_GT(found[0].size, 0U);
  machine->tmp_is_memory = false;
  EXPECT_EQ(platform::memory_file_systems(found), with - 1);
  machine->tmp_is_memory = true;
  machine.fail("statvfs", 1, EACCES);
  EXPECT_EQ(platform::memory_file_systems(found), with - 1);
  EXPECT_EQ(platform::large_page_modes({}), 0U);
}

}  // namespace
