// SPDX-License-Identifier: Apache-2.0
// Claims: a child's line comes back; its bad end, and a program that is not there, are failures that say so; it has the
// environment of its parent and room for libraries with fixed thread-local offsets.
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

import bench;

namespace {

using kind = bench::outcome::kind;

bench::outcome shell(const std::string& script) { return bench::run_child({"/bin/sh", "-c", script}); }

TEST(Child, TellsItsOutcome) {
  const bench::outcome told = shell("echo figures 1.5 2");
  EXPECT_EQ(told.what, kind::figures);
  EXPECT_EQ(told.figures, (std::vector<double>{1.5, 2}));
}

TEST(Child, FailsWhenItEndsBadly) {
  const bench::outcome refused = shell("echo figures 1.5; exit 3");
  EXPECT_EQ(refused.what, kind::failed);
  EXPECT_EQ(refused.why, "exit status 3");
  const bench::outcome killed = shell("kill -9 $$");
  EXPECT_EQ(killed.what, kind::failed);
  EXPECT_TRUE(killed.why.starts_with("killed: ")) << killed.why;
}

TEST(Child, FailsWhenThereIsNoSuchProgram) {
  const bench::outcome none = bench::run_child({"/no/such/program"});
  EXPECT_EQ(none.what, kind::failed);
  EXPECT_NE(none.why, "");
}

TEST(Child, HasTheEnvironmentAndRoomForStaticTls) {
  ::setenv("STRATA_CHILD_TEST", "seen", 1);
  EXPECT_EQ(shell("echo absent $STRATA_CHILD_TEST").why, "seen");
  ::unsetenv("GLIBC_TUNABLES");
  EXPECT_EQ(shell("echo absent $GLIBC_TUNABLES").why, "glibc.rtld.optional_static_tls=16384");
  ::setenv("GLIBC_TUNABLES", "glibc.malloc.check=0", 1);
  EXPECT_EQ(shell("echo absent $GLIBC_TUNABLES").why, "glibc.malloc.check=0:glibc.rtld.optional_static_tls=16384");
}

}  // namespace
