// SPDX-License-Identifier: Apache-2.0
// Claims: only whole large pages within a block are worked on; each step is made or left out as told, and what it came
// to, or why not, is told; a registry knows its blocks and sums up; it refuses when it has no memory, and nothing has
// changed.
#include <gtest/gtest.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <set>

#include "tests/os_script/os_script.h"

import strata.mem;

namespace strata::mem {
namespace {

struct LargePages : testing::Test {
  std::size_t large = large_page_bytes();
  page_run area{};
  void SetUp() override {
    if (large == 0) GTEST_SKIP() << "there are no large pages here";
    area = map_run(4 * large, large, {}).run;
    ASSERT_NE(area.base, nullptr);
  }
  void TearDown() override {
    if (area.base != nullptr) EXPECT_FALSE(unmap_run(area).failed());
  }
  [[nodiscard]] std::byte* at(std::size_t offset) const { return static_cast<std::byte*>(area.base) + offset; }
};

TEST_F(LargePages, OnlyWholeOnesWithinABlockCount) {
  EXPECT_EQ(whole_large_bytes(at(0), large), large);
  EXPECT_EQ(whole_large_bytes(at(0), large - 1), 0U);
  EXPECT_EQ(whole_large_bytes(at(16), large), 0U);
  EXPECT_EQ(whole_large_bytes(at(16), 2 * large), large);
  EXPECT_EQ(whole_large_bytes(at(16), 3 * large - 16), 2 * large);
}

TEST_F(LargePages, StepsAreMadeAsTold) {
  test::os_script script;
  large_page_result got = make_large(at(0), large - 1, {});
  EXPECT_EQ(got.asked, 0U);
  EXPECT_EQ(script.calls(test::os_call::madvise), 0U);
  got = make_large(at(0), large, {.advise = false, .collapse = false, .look = false});
  EXPECT_EQ(got.asked, large);
  EXPECT_EQ(got.obtained, 0U);
  EXPECT_EQ(script.calls(test::os_call::madvise), 0U);
  got = make_large(at(0), large, {.advise = true, .collapse = false, .look = false});
  EXPECT_EQ(script.calls(test::os_call::madvise), 1U);
  EXPECT_EQ(backing_of(at(0), large).resident, 0U) << "nobody looked";
  got = make_large(at(0), 2 * large, {});
  EXPECT_EQ(got.asked, 2 * large);
  EXPECT_EQ(got.obtained, backing_of(at(0), 2 * large).large);
  EXPECT_EQ(backing_of(at(0), 2 * large).resident, 2 * large);
}

TEST_F(LargePages, WhatWasRefusedIsTold) {
  test::os_script script;
  script.fail(test::os_call::madvise, 2, EFAULT);
  large_page_result got = make_large(at(0), large, {});
  EXPECT_EQ(got.no_memory.code, EFAULT);
  EXPECT_EQ(got.obtained, 0U);
  script.fail(test::os_call::madvise, 1, EINVAL);
  got = make_large(at(large), large, {.advise = true, .collapse = false, .look = true});
  if (got.obtained == 0) EXPECT_EQ(got.missing.code, EINVAL);
}

TEST(BlockRegistry, KnowsItsBlocksAndSumsUp) {
  block_registry blocks;
  std::set<const void*> all;
  for (std::uintptr_t n = 1; n <= 1000; ++n) {
    const void* const block = reinterpret_cast<const void*>(n << 21);
    ASSERT_FALSE(blocks.add(block, n).failed());
    all.insert(block);
  }
  EXPECT_EQ(blocks.sum([](const void*, std::size_t n) { return n; }), 500'500U);
  EXPECT_EQ(blocks.sum([&](const void* p, std::size_t) { return all.count(p); }), 1000U);
  for (std::uintptr_t n = 1; n <= 1000; n += 2) {
    EXPECT_EQ(blocks.remove(reinterpret_cast<const void*>(n << 21)), n);
    EXPECT_EQ(blocks.remove(reinterpret_cast<const void*>(n << 21)), 0U);
  }
  EXPECT_EQ(blocks.sum([](const void*, std::size_t) { return 1U; }), 500U);
}

TEST(BlockRegistry, WithoutMemoryRefuses) {
  block_registry blocks;
  EXPECT_EQ(blocks.remove(&blocks), 0U);
  test::os_script script;
  script.fail(test::os_call::mmap, 1, ENOMEM);
  EXPECT_EQ(blocks.add(&blocks, 1).code, ENOMEM);
  EXPECT_EQ(blocks.remove(&blocks), 0U);
}

}  // namespace
}  // namespace strata::mem
