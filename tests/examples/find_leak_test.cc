// SPDX-License-Identifier: Apache-2.0
// Claims: the program tells its leak, four pictures and their pixels of five, largest first and by the functions that asked;
// the profile it writes holds the same bytes and names; a path that cannot be written is told.
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "tests/examples/program.h"
#include "tests/support/regular_expression.h"

namespace {

TEST(FindLeak, TellsWhoAskedForWhatWasForgotten) {
  const outcome result = run_program("examples/find_leak");
  ASSERT_EQ(result.status, 0) << result.text;
  const strata::test::regular_expression more("^five loads: [0-9]+ blocks, [0-9]+ bytes more are live\n");
  EXPECT_TRUE(more.is_in(result.text)) << result.text;
  // Each has 64 x 64 characters and the zero behind them, and a string of 40 bytes.
  EXPECT_NE(result.text.find("strata: pictures: 8 blocks, 16548 bytes are live\n"), std::string::npos) << result.text;
  const std::size_t pixels = result.text.find("\n  4 blocks, 16388 bytes\n");
  const std::size_t pictures = result.text.find("\n  4 blocks, 160 bytes\n");
  ASSERT_NE(pixels, std::string::npos) << result.text;
  ASSERT_NE(pictures, std::string::npos) << result.text;
  EXPECT_LT(pixels, pictures);
  EXPECT_NE(result.text.find("picture_cache::load", pixels), std::string::npos) << result.text;
  EXPECT_NE(result.text.find("picture_cache::load", pictures), std::string::npos) << result.text;
}

TEST(FindLeak, WritesAProfileOfIt) {
  const std::string path = std::string(std::getenv("TEST_TMPDIR")) + "/heap.pb.gz";
  ASSERT_EQ(run_program("examples/find_leak " + path).status, 0);
  const outcome read = run_program("gzip -dc " + path + " | protoc --decode_raw");
  ASSERT_EQ(read.status, 0);
  EXPECT_NE(read.text.find("inuse_space"), std::string::npos);
  EXPECT_NE(read.text.find("picture_cache::load"), std::string::npos);
  EXPECT_NE(read.text.find("\"pictures\""), std::string::npos);
}

TEST(FindLeak, SaysWhenTheProfileCannotBeWritten) {
  const outcome nowhere = run_program("examples/find_leak /nowhere/heap.pb.gz");
  EXPECT_EQ(nowhere.status, 1);
  EXPECT_NE(nowhere.text.find("/nowhere/heap.pb.gz: cannot be written"), std::string::npos) << nowhere.text;
  EXPECT_EQ(run_program("examples/find_leak /dev/full").status, 1);
}

}  // namespace
