// SPDX-License-Identifier: Apache-2.0
// Claims: an outcome survives the line it is told in; whatever else a child says is a failure that quotes it.
#include <gtest/gtest.h>

#include <string>

import bench;

namespace {

using kind = bench::outcome::kind;

void expect_survives(const bench::outcome& from) {
  const std::string line = bench::to_line(from);
  EXPECT_EQ(line.find('\n'), line.size() - 1) << line;
  const bench::outcome back = bench::from_line(line);
  EXPECT_EQ(back.what, from.what) << line;
  EXPECT_EQ(back.figures, from.figures) << line;
  EXPECT_EQ(back.why, from.why) << line;
}

TEST(Outcome, SurvivesItsLine) {
  expect_survives({kind::figures, {}, {}});
  expect_survives({kind::figures, {0.1, 1e300, 0, 12345.678901234567}, {}});
  expect_survives({kind::absent, {}, "libfoo.so.1: cannot open shared object file"});
  expect_survives({kind::cannot, {}, "blocks do not have the alignment asked for"});
  expect_survives({kind::wrong, {}, "heap took 16 bytes"});
  expect_survives({kind::failed, {}, {}});
}

TEST(Outcome, IsOneLineWhateverTheReason) {
  EXPECT_EQ(bench::to_line({kind::failed, {}, "first\nsecond"}), "failed first second\n");
}

TEST(Outcome, IsAFailureWhenTheLineIsNone) {
  for (const std::string line : {"", "figures 1.5", "figures 1.5 x\n", "figures  \n", "well\n", "1.5\n", "\n"}) {
    const bench::outcome read = bench::from_line(line);
    EXPECT_EQ(read.what, kind::failed) << line;
    EXPECT_EQ(read.why, "said \"" + line + "\"");
    EXPECT_TRUE(read.figures.empty());
  }
}

}  // namespace
