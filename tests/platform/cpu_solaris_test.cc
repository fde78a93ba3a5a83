// SPDX-License-Identifier: Apache-2.0
// Claims, on Solaris: processors are those of the process' set, one for a bound thread, those online when nothing else
// is told, and never none; a cap of the zone bounds their time.
#include <gtest/gtest.h>

#include <cerrno>

#include "tests/fakes/solaris/machine.h"

import strata.platform;

namespace {

using strata::fake_solaris::fresh_machine;
using strata::platform::cpus;

TEST(CpuSolaris, AreThoseOfTheSet) {
  const fresh_machine machine;
  machine->processors = 12;
  EXPECT_EQ(cpus().usable, 12U);
  EXPECT_EQ(cpus().quota_permille, 12'000U);
  machine.fail("pset_info", 1, EINVAL);
  EXPECT_EQ(cpus().usable, 12U) << "those online";
  machine.fail("pset_info", 1, EINVAL);
  machine.fail("sysconf", 1, EINVAL);
  EXPECT_EQ(cpus().usable, 1U) << "never none";
}

TEST(CpuSolaris, IsOneForABoundThread) {
  const fresh_machine machine;
  machine->processors = 12;
  machine->bound = true;
  EXPECT_EQ(cpus().usable, 1U);
  EXPECT_EQ(cpus().quota_permille, 1000U);
}

TEST(CpuSolaris, TimeIsBoundedByTheZonesCap) {
  const fresh_machine machine;
  machine->processors = 4;
  machine->cpu_cap = 150;
  EXPECT_EQ(cpus().quota_permille, 1500U);
  EXPECT_EQ(cpus().usable, 4U);
  machine->cpu_cap = 900;
  EXPECT_EQ(cpus().quota_permille, 4000U) << "more than there is";
  machine->cpu_cap = 0;
  EXPECT_EQ(cpus().quota_permille, 1U) << "never none";
}

}  // namespace
