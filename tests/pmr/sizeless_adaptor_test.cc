// SPDX-License-Identifier: Apache-2.0
// Claims beyond conformance: blocks go back and are replaced without their size (S1-03), aligned ones too; reallocation
// keeps the pointer when it fits, keeps contents, leaks nothing, and leaves the block as it was when it fails; twice,
// interior and another size are misuse and change nothing; figures add up.
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory_resource>
#include <new>
#include <random>
#include <string>
#include <vector>

#include "tests/support/failing_resource.h"
#include "tests/support/recording_resource.h"

import strata.pmr;

namespace strata::pmr {
namespace {

std::vector<misuse> reports;

struct SizelessAdaptor : testing::Test {
  void SetUp() override {
    reports.clear();
    set_misuse_handler([](const misuse& what) { reports.push_back(what); });
  }
  void TearDown() override {
    set_misuse_handler(nullptr);
    const statistics s = memory.stats();
    EXPECT_EQ(s.upstream, upstream.live().bytes);
    EXPECT_EQ(s.upstream, s.live + s.kept + s.overhead);
  }

  test::recording_resource upstream;
  test::failing_resource failing{&upstream};
  sizeless_adaptor<> memory{&failing};
};

TEST_F(SizelessAdaptor, TakesBlocksBackWithoutTheirSize) {
  for (const std::size_t bytes : {0U, 1U, 100U, 5000U}) {
    for (std::size_t alignment = 1; alignment <= 4096; alignment *= 4) {
      void* const p = memory.allocate(bytes, alignment);
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(p) % alignment, 0U);
      EXPECT_EQ(memory.usable_size(p), bytes);
      std::memset(p, 0xFF, bytes);
      if (bytes == 100) {
        memory.deallocate(p, bytes, alignment);
      } else {
        memory.deallocate(p);
      }
    }
  }
  memory.deallocate(nullptr);
  EXPECT_EQ(upstream.live().blocks, 0U);
  EXPECT_TRUE(reports.empty());
}

TEST_F(SizelessAdaptor, ReallocatesWithoutALeak) {
  std::mt19937_64 random(1);
  std::vector<unsigned char*> blocks(16);
  for (int i = 0; i < 20'000; ++i) {
    unsigned char*& p = blocks[random() % blocks.size()];
    const std::size_t had = memory.usable_size(p);
    const std::size_t bytes = 1 + random() % 2000;
    auto* const now = static_cast<unsigned char*>(memory.reallocate(p, bytes));
    if (p != nullptr) {
      ASSERT_EQ(now == p, bytes <= had);
      ASSERT_EQ(now[0], 7);
    }
    std::memset(now, 7, bytes);
    p = now;
  }
  for (unsigned char* const p : blocks) memory.deallocate(p);
  EXPECT_EQ(upstream.live().blocks, 0U);
}

TEST_F(SizelessAdaptor, LeavesABlockAsItWasWhenItCannotGrow) {
  auto* const p = static_cast<unsigned char*>(memory.allocate(10));
  p[9] = 3;
  failing.from(1);
  EXPECT_THROW((void)memory.reallocate(p, 1000), std::bad_alloc);
  EXPECT_THROW((void)memory.reallocate(p, SIZE_MAX - 3), std::bad_alloc);
  EXPECT_EQ(p[9], 3);
  EXPECT_EQ(memory.usable_size(p), 10U);
  memory.deallocate(p);
}

TEST_F(SizelessAdaptor, SaysWhatIsWrongAndChangesNothing) {
  auto* const p = static_cast<std::byte*>(memory.allocate(100));
  std::memset(p, 0, 100);
  memory.deallocate(p + 32);
  memory.deallocate(p + 1);
  memory.deallocate(p, 99);
  EXPECT_THROW((void)memory.reallocate(p + 32, 1), allocation_error);
  ASSERT_EQ(reports.size(), 4U);
  EXPECT_STREQ(reports[0].sentence, "deallocated what is no live block");
  EXPECT_STREQ(reports[1].sentence, "deallocated what is no live block");
  EXPECT_STREQ(reports[2].sentence, "deallocated a block with another size than it was allocated with");
  EXPECT_STREQ(reports[3].sentence, "reallocated what is no live block");
  EXPECT_EQ(memory.stats().live, 100U);
  memory.deallocate(p);
}

// Twice: into memory that is still there.
TEST_F(SizelessAdaptor, NoticesABlockThatGoesBackTwice) {
  std::pmr::monotonic_buffer_resource keeps(&upstream);
  sizeless_adaptor<std::pmr::memory_resource> over(&keeps);
  void* const p = over.allocate(10);
  over.deallocate(p);
  over.deallocate(p);
  ASSERT_EQ(reports.size(), 1U);
  EXPECT_STREQ(reports[0].sentence, "deallocated what is no live block");
  keeps.release();
}

}  // namespace
}  // namespace strata::pmr
