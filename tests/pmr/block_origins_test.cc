// SPDX-License-Identifier: Apache-2.0
// Claims: where one upstream can tell its own it is asked, the first before the second, and nothing is remembered, nor
// is the OS asked for anything; where neither can, the second's blocks are known by address and size until they go
// back; what is of neither, or of another size, is told and changes nothing; misuse has a sentence.
#include <gtest/gtest.h>

#include <cerrno>
#include <cstddef>
#include <memory_resource>

#include "tests/os_script/os_script.h"
#include "tests/pmr/region.h"

import strata.mem;
import strata.pmr;

namespace strata::pmr {
namespace {

using other = std::pmr::memory_resource;
using test::region;

struct BlockOrigins : testing::Test {
  region telling{std::pmr::new_delete_resource(), 4096};
  region telling_too{std::pmr::new_delete_resource(), 4096};
  other* const silent = std::pmr::new_delete_resource();
  void* const in_first = telling.allocate(16);
  void* const in_second = telling_too.allocate(16);
  std::byte elsewhere{};
};

TEST_F(BlockOrigins, AreToldByTheFirstUpstreamThatCan) {
  test::os_script script;
  block_origins<region, other, threads::any> origins(&telling, silent);
  static_assert(!origins.remembers);
  EXPECT_FALSE(origins.prepare(100'000).failed());
  EXPECT_FALSE(origins.add(&elsewhere, 1).failed());
  EXPECT_EQ(origins.take(in_first, 16), origin::first);
  EXPECT_EQ(origins.take(&elsewhere, 1), origin::second);
  EXPECT_EQ(origins.take(&elsewhere, 1), origin::second) << "nothing is remembered, so nothing is forgotten";
  EXPECT_EQ(origins.check(), nullptr);
  EXPECT_EQ(script.calls(test::os_call::mmap), 0U);
}

TEST_F(BlockOrigins, AreToldByTheSecondUpstreamWhereTheFirstCannot) {
  block_origins<other, region, threads::one> origins(silent, &telling_too);
  static_assert(!origins.remembers);
  EXPECT_FALSE(origins.add(in_second, 16).failed());
  EXPECT_EQ(origins.take(in_second, 16), origin::second);
  EXPECT_EQ(origins.take(&elsewhere, 1), origin::first);
}

TEST_F(BlockOrigins, OfNeitherIsToldWhereBothCan) {
  block_origins<region, region, threads::any> origins(&telling, &telling_too);
  EXPECT_EQ(origins.take(in_first, 16), origin::first);
  EXPECT_EQ(origins.take(in_second, 16), origin::second);
  EXPECT_EQ(origins.take(&elsewhere, 1), origin::none);
}

TEST_F(BlockOrigins, AreRememberedWhereNeitherCanTell) {
  block_origins<other, other, threads::any> origins(silent, silent);
  static_assert(origins.remembers);
  ASSERT_FALSE(origins.add(in_second, 16).failed());
  EXPECT_EQ(origins.take(in_first, 16), origin::first);
  EXPECT_EQ(origins.take(in_second, 17), origin::other_size);
  EXPECT_EQ(origins.take(in_second, 16), origin::second) << "what was told changed nothing";
  EXPECT_EQ(origins.take(in_second, 16), origin::first) << "forgotten: the address may be the first one's by now";
  EXPECT_EQ(origins.check(), nullptr);
}

TEST_F(BlockOrigins, ThatCannotBeRememberedAreSaidSo) {
  test::os_script script;
  block_origins<other, other, threads::any> origins(silent, silent);
  script.fail(test::os_call::mmap, 1, ENOMEM);
  EXPECT_EQ(origins.add(in_second, 16).code, ENOMEM);
  EXPECT_EQ(origins.take(in_second, 16), origin::first);
}

TEST(Origin, HasASentenceForEachMisuse) {
  EXPECT_EQ(describe(origin::first), nullptr);
  EXPECT_EQ(describe(origin::second), nullptr);
  EXPECT_STREQ(describe(origin::none), "the block is of neither upstream");
  EXPECT_STREQ(describe(origin::other_size), "a block of the second upstream comes back with another size than it has");
}

}  // namespace
}  // namespace strata::pmr
