// SPDX-License-Identifier: Apache-2.0
// Claims beyond conformance: small blocks pass untouched; large ones are aligned to large pages and, where the machine
// can, in such, as the kernel says, contents zero; what was asked and obtained is told by block and in sum; what did not
// come is told, or when strict refused with the figures and nothing changed; every step can be refused, with every
// errno that applies; above ism it is refused.
#include <gtest/gtest.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <memory_resource>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/os_script/os_script.h"
#include "tests/support/recording_resource.h"
#include "tests/support/sanitizer.h"

import strata.pmr;

namespace strata::pmr {
namespace {

const std::size_t large = large_page_bytes();

struct LargePageAdaptor : testing::Test {
  void SetUp() override {
    if (large == 0) GTEST_SKIP() << "there are no large pages here";
  }
};

TEST_F(LargePageAdaptor, LeavesSmallBlocksAlone) {
  stack memory{pages{}, large_pages{}};
  test::os_script script;
  void* const p = memory.allocate(large - 1);
  EXPECT_EQ(script.calls(test::os_call::madvise), 0U);
  EXPECT_EQ(memory.top().asked_bytes(), 0U);
  memory.deallocate(p, large - 1);
}

TEST_F(LargePageAdaptor, PutsLargeBlocksIntoLargePagesAndTellsWhatCameOfIt) {
  stack memory{pages{}, large_pages{}};
  const std::size_t bytes = 2 * large + 5000;
  auto* const p = static_cast<char*>(memory.allocate(bytes));
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(p) % large, 0U);
  EXPECT_EQ(p[0], 0);
  EXPECT_EQ(p[bytes - 1], 0);
  EXPECT_EQ(memory.top().asked_bytes(), 2 * large);
  EXPECT_EQ(memory.top().asked_bytes(p, bytes), 2 * large);
  EXPECT_EQ(memory.top().large_bytes(), memory.top().large_bytes(p, bytes));
  std::array<degradation, 1> states{};
  EXPECT_EQ(memory.top().degraded(states) == 0, memory.top().large_bytes() == 2 * large)
      << "either all came, or it is said: " << memory.top().large_bytes();
  memory.deallocate(p, bytes);
  EXPECT_EQ(memory.top().asked_bytes(), 0U);
  EXPECT_EQ(memory.top().large_bytes(), 0U);
}

TEST_F(LargePageAdaptor, WithoutLookingTouchesNothing) {
  stack memory{pages{}, large_pages{.collapse = false, .look = false}};
  void* const p = memory.allocate(2 * large);
  EXPECT_EQ(memory.top().asked_bytes(), 2 * large);
  EXPECT_EQ(memory.top().large_bytes(), 0U);
  EXPECT_EQ(memory.top().degraded({}), 0U);
  memory.deallocate(p, 2 * large);
}

// Advice is refused, collapsing too, the kernel has none: base pages, and a reason.
TEST_F(LargePageAdaptor, SaysWhatDidNotComeAndWhy) {
  for (const int code : {EINVAL, ENOMEM, EAGAIN, EBUSY}) {
    stack memory{pages{}, large_pages{.advise = false}};
    void* p = nullptr;
    {
      test::os_script script;
      script.fail(test::os_call::madvise, 2, code);  // after the prefault
      p = memory.allocate(2 * large);
      if (script.failed(test::os_call::madvise) == 0) GTEST_SKIP() << "the kernel makes large pages unasked";
    }
    std::array<degradation, 1> states{};
    ASSERT_EQ(memory.top().degraded(states), 1U);
    EXPECT_EQ(states[0].cause.code, code);
    EXPECT_EQ(states[0].times, 1U);
    EXPECT_LT(memory.top().large_bytes(), 2 * large);
    memory.deallocate(p, 2 * large);
  }
}

TEST_F(LargePageAdaptor, StrictRefusesWithTheFigures) {
  stack memory{pages{}, large_pages{.name = "big", .advise = false, .strict = true}};
  test::os_script script;
  script.fail(test::os_call::madvise, 2, ENOMEM);
  try {
    void* const p = memory.allocate(2 * large);
    memory.deallocate(p, 2 * large);
    GTEST_SKIP() << "the kernel makes large pages unasked";
  } catch (const allocation_error& e) {
    EXPECT_EQ(e.os_code(), ENOMEM);
    const std::string text = e.what();
    EXPECT_NE(text.find("of " + std::to_string(2 * large) + " bytes in whole large pages only 0 came"),
              std::string::npos)
        << text;
  }
  EXPECT_EQ(memory.stats().live, 0U);
  EXPECT_EQ(memory.stats().failures, 1U);
  EXPECT_EQ(memory.get<0>().stats().live, 0U);
}

TEST_F(LargePageAdaptor, WithoutMemoryBehindItsPagesABlockIsRefused) {
  for (const int code : {EFAULT, ENOMEM, EHWPOISON}) {
    stack memory{pages{}, large_pages{}};
    test::os_script script;
    script.fail(test::os_call::madvise, 2, code);  // advice, then prefault
    EXPECT_THROW((void)memory.allocate(2 * large), allocation_error);
    EXPECT_EQ(memory.stats().live, 0U);
    EXPECT_EQ(memory.get<0>().stats().live, 0U);
    EXPECT_EQ(memory.top().asked_bytes(), 0U);
  }
}

TEST_F(LargePageAdaptor, WithoutATableABlockIsRefused) {
  stack memory{pages{}, large_pages{.collapse = false, .look = false}};
  test::os_script script;
  script.fail(test::os_call::mmap, 2, ENOMEM);  // the block, then the table
  EXPECT_THROW((void)memory.allocate(2 * large), allocation_error);
  EXPECT_EQ(script.mapped_bytes(), 0U);
}

TEST(LargePageAdaptorOrder, AboveIsmIsRefusedWhenConstructed) {
  try {
    stack memory{segments{.kind = segment_kind::ism}, large_pages{}};
    FAIL() << "nothing was thrown";
  } catch (const std::invalid_argument& e) {
    EXPECT_NE(std::string(e.what()).find("ism, which has large pages of its own"), std::string::npos) << e.what();
  }
  const stack dism{segments{.kind = segment_kind::dism}, large_pages{}};
}

TEST_F(LargePageAdaptor, GivesAKeeperLargeSpans) {
  stack memory{pages{}, large_pages{}, slabs{}};
  std::pmr::vector<int> numbers(10'000, 1, &memory);
  EXPECT_GE(memory.get<1>().asked_bytes(), large);
}

}  // namespace
}  // namespace strata::pmr
