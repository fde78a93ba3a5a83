// SPDX-License-Identifier: Apache-2.0
// Claims: there is one cache or none; a hidden one is found but not mine; detaching leaves none.
#include <gtest/gtest.h>

#include <cstddef>
#include <vector>

import strata.mem;

namespace strata::mem {
namespace {

struct SoleCache : testing::TestWithParam<bool> {
  std::vector<std::max_align_t> memory =
      std::vector<std::max_align_t>(thread_cache::bytes() / sizeof(std::max_align_t) + 1);
  thread_cache* const cache = thread_cache::format(memory.data());
  sole_cache owner{nullptr, nullptr, GetParam()};

  std::size_t seen() const {
    std::size_t count = 0;
    owner.visit([&](const thread_cache& each) { count += &each == cache ? 1U : 100U; });
    return count;
  }
};

TEST_P(SoleCache, IsThereFromAdoptingToDetaching) {
  EXPECT_EQ(owner.found(), nullptr);
  EXPECT_EQ(seen(), 0U);
  ASSERT_TRUE(owner.adopt(cache));
  EXPECT_EQ(owner.found(), cache);
  EXPECT_EQ(owner.mine(), GetParam() ? nullptr : cache);
  EXPECT_EQ(seen(), 1U);
  EXPECT_EQ(owner.detach_all(), cache);
  EXPECT_EQ(owner.found(), nullptr);
  EXPECT_EQ(owner.mine(), nullptr);
  EXPECT_EQ(owner.detach_all(), nullptr);
}

INSTANTIATE_TEST_SUITE_P(Hidden, SoleCache, testing::Bool());

}  // namespace
}  // namespace strata::mem
