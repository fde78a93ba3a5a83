// SPDX-License-Identifier: Apache-2.0
// Claims, on Solaris: a control's value is told; one that is not set, does not exist or cannot be read limits nothing.
// White box: the partition is private to the floor, so the test is a unit of it.
module;
#include <gtest/gtest.h>

#include <cerrno>

#include "tests/fakes/solaris/machine.h"

module strata.platform:resource_control.test;

import :resource_control;

namespace strata::platform {
namespace {

TEST(ResourceControl, ToldWhereOneIsSet) {
  const fake_solaris::fresh_machine machine;
  EXPECT_EQ(smallest_value("project.max-locked-memory"), unlimited);
  machine->max_locked = 65536;
  EXPECT_EQ(smallest_value("project.max-locked-memory"), 65536U);
  machine->max_locked = 0;
  EXPECT_EQ(smallest_value("project.max-locked-memory"), 0U);
  EXPECT_EQ(smallest_value("project.no-such-control"), unlimited);
  machine.fail("getrctl", 1, EPERM);
  EXPECT_EQ(smallest_value("project.max-locked-memory"), unlimited);
}

}  // namespace
}  // namespace strata::platform
