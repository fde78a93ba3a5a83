// SPDX-License-Identifier: Apache-2.0
// Claims beyond conformance: what nearly fills pages of a pool comes from it, as the kernel says, and goes back to it;
// small blocks and those far from a multiple never do; with an empty pool blocks come in ordinary pages and it is said,
// or when strict it is refused with the reason; every call can fail; the whole ladder stands on one another.
#include <gtest/gtest.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>

#include "tests/os_script/os_script.h"
#include "tests/support/huge_pool.h"

import strata.pmr;

namespace strata::pmr {
namespace {

using test::huge_pool;
constexpr std::size_t page = huge_pool::page;

TEST(ExplicitPages, ComeFromThePoolAndGoBack) {
  const huge_pool pool(3);
  const std::size_t before = huge_pool::free_pages();
  if (before < 3) GTEST_SKIP() << "this user, or this machine, cannot fill the pool";
  stack memory{explicit_pages{.strict = true}};
  auto* const p = static_cast<char*>(memory.allocate(2 * page - 1000));
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(p) % page, 0U);
  std::memset(p, 1, 2 * page - 1000);
  EXPECT_EQ(memory.top().pool_bytes(), 2 * page);
  EXPECT_EQ(memory.top().large_bytes(), 2 * page);
  EXPECT_EQ(memory.stats().upstream, 2 * page);
  EXPECT_EQ(memory.stats().overhead, 1000U);
  EXPECT_EQ(huge_pool::free_pages(), before - 2);
  memory.deallocate(p, 2 * page - 1000);
  EXPECT_EQ(huge_pool::free_pages(), before);
  EXPECT_EQ(memory.top().degraded({}), 0U);
}

TEST(ExplicitPages, ComeFromTheLargestPoolThatHasSome) {
  constexpr std::size_t gib = std::size_t{1} << 30;
  const huge_pool largest(1, gib);
  if (huge_pool::free_pages(gib) == 0) GTEST_SKIP() << "this user, or this machine, cannot fill the pool";
  stack memory{explicit_pages{.largest = gib, .strict = true}};
  const std::size_t before = huge_pool::free_pages(gib);
  auto* const p = static_cast<char*>(memory.allocate(gib));
  p[0] = p[gib - 1] = 1;
  EXPECT_EQ(memory.top().pool_bytes(), gib);
  EXPECT_EQ(memory.top().large_bytes(), gib) << "one page, of which both ends were touched";
  EXPECT_EQ(huge_pool::free_pages(gib), before - 1);
  memory.deallocate(p, gib);
  EXPECT_EQ(huge_pool::free_pages(gib), before);
  EXPECT_EQ(memory.top().degraded({}), 0U);
}

TEST(ExplicitPages, SmallAndOddBlocksNeverDo) {
  stack memory{explicit_pages{.strict = true}};
  for (const std::size_t bytes : {std::size_t{0}, std::size_t{8}, page / 2, page + page / 2}) {
    void* const p = memory.allocate(bytes);
    EXPECT_EQ(memory.top().pool_bytes(), 0U) << bytes;
    memory.deallocate(p, bytes);
  }
}

TEST(ExplicitPages, AreOrdinaryWhereThePoolIsEmptyAndThatIsSaid) {
  stack memory{explicit_pages{}};
  for (const int code : {ENOMEM, EPERM, EAGAIN, EINVAL}) {
    void* p = nullptr;
    {
      test::os_script script;
      script.fail(test::os_call::mmap, 1, code);
      p = memory.allocate(page);
    }
    EXPECT_EQ(memory.top().pool_bytes(), 0U);
    std::array<degradation, 2> states{};
    ASSERT_EQ(memory.top().degraded(states), 1U);
    EXPECT_EQ(states[0].cause.code, code);
    memory.deallocate(p, page);
  }
}

TEST(ExplicitPages, StrictSaysWhatToDo) {
  stack memory{explicit_pages{.name = "pool", .strict = true}};
  test::os_script script;
  script.fail(test::os_call::mmap, 1, ENOMEM);
  try {
    (void)memory.allocate(page);
    FAIL() << "nothing was thrown";
  } catch (const allocation_error& e) {
    EXPECT_EQ(e.os_code(), ENOMEM);
    EXPECT_NE(std::string(e.what()).find("no pool has so many large pages free"), std::string::npos) << e.what();
  }
  EXPECT_EQ(memory.stats().failures, 1U);
  EXPECT_EQ(script.mapped_bytes(), 0U);
}

TEST(ExplicitPages, EveryMappingCanFail) {
  unsigned met = test::fail_each(test::os_call::mmap, {ENOMEM, EAGAIN}, [](test::os_script& script) {
    stack memory{explicit_pages{}};
    try {
      void* const p = memory.allocate(page);
      memory.deallocate(p, page);
    } catch (const allocation_error&) {
      EXPECT_EQ(memory.stats().live, 0U);
    }
    EXPECT_EQ(memory.stats().live, 0U);
    (void)script;
  });
  EXPECT_GT(met, 0U);
}

TEST(ExplicitPages, RefusesASizeThatIsNone) {
  for (const std::size_t largest : {std::size_t{0}, std::size_t{4096}, std::size_t{3} << 20}) {
    EXPECT_THROW(explicit_page_resource({.largest = largest}), std::invalid_argument);
  }
}

TEST(ExplicitPages, AreTheFirstRungOfTheLadder) {
  stack memory{explicit_pages{}, large_pages{}, slabs{}};
  void* const p = memory.allocate(100);
  EXPECT_GE(memory.get<1>().asked_bytes() + (large_page_bytes() == 0 ? 1 : 0), 1U);
  memory.deallocate(p, 100);
}

}  // namespace
}  // namespace strata::pmr
