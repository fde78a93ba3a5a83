// SPDX-License-Identifier: Apache-2.0
// Claims, on every system:
//  * ranges are aligned as asked, 4 KiB … 1 GiB, zero-filled, and leave no address space behind
//  * a reservation faults; commit makes it usable; uncommit empties it and makes it fault again; give_back empties it
//  * reserve_again makes a reservation of whatever became of its pieces
//  * prefault makes pages resident and keeps contents
//  * sizes that wrap are refused without a mapping of another size
//  * a call that is refused, at every step of an operation, says which and how, and nothing leaks
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <limits>

#include "tests/os_script/os_script.h"
#include "tests/platform/page_checks.h"

import strata.platform;

namespace {

namespace platform = strata::platform;
using platform::access;
using strata::test::aligned;
using strata::test::all_zero;
using strata::test::bytes_of;
using strata::test::fail_each;
using strata::test::os_call;
using strata::test::os_script;

constexpr std::size_t kKiB = 1024;
constexpr std::size_t kMiB = 1024 * kKiB;
constexpr std::size_t kGiB = 1024 * kMiB;

std::size_t page() { return platform::page_size(); }

std::size_t resident_pages(void* base, std::size_t bytes) { return strata::test::resident_pages(base, bytes, page()); }

TEST(Page, SizeIsAPowerOfTwoAndTheFirstOfTheSizes) {
  EXPECT_GE(page(), 4 * kKiB);
  EXPECT_EQ(page() & (page() - 1), 0U);
  std::array<std::size_t, 16> sizes{};
  const std::size_t known = platform::page_sizes(sizes);
  ASSERT_GE(known, 1U);
  EXPECT_EQ(sizes[0], page());
  for (std::size_t i = 1; i < std::min(known, sizes.size()); ++i) EXPECT_GT(sizes[i], sizes[i - 1]);
}

TEST(Page, MapsZeroFilledAtEveryAlignmentUpToAGibibyte) {
  for (std::size_t alignment = page(); alignment <= kGiB; alignment *= 2) {
    for (const std::size_t bytes : {page(), 3 * page(), kMiB}) {
      os_script script;
      const auto got = platform::map(bytes, alignment);
      ASSERT_NE(got.base, nullptr) << alignment << ' ' << got.error.call << ' ' << got.error.code;
      EXPECT_FALSE(got.error.failed());
      EXPECT_TRUE(aligned(got.base, alignment)) << alignment;
      EXPECT_TRUE(all_zero(got.base, bytes)) << alignment;
      std::memset(got.base, 0x5A, bytes);
      EXPECT_EQ(script.mapped_bytes(), bytes) << alignment;
      EXPECT_FALSE(platform::unmap(got.base, bytes).failed());
      EXPECT_EQ(script.mapped_bytes(), 0U);
    }
  }
  EXPECT_EQ(platform::quarantined_bytes(), 0U);
}

TEST(Page, ReservesAtEveryAlignmentUpToAGibibyte) {
  for (std::size_t alignment = page(); alignment <= kGiB; alignment *= 2) {
    os_script script;
    const auto got = platform::reserve(2 * kMiB, alignment);
    ASSERT_NE(got.base, nullptr) << alignment;
    EXPECT_TRUE(aligned(got.base, alignment)) << alignment;
    EXPECT_EQ(script.mapped_bytes(), 2 * kMiB);
    EXPECT_FALSE(platform::unmap(got.base, 2 * kMiB).failed());
  }
}

TEST(Page, ReservesFarMoreThanThereIsMemory) {
  const std::size_t bytes = 1024 * kGiB;
  const auto got = platform::reserve(bytes, page());
  ASSERT_NE(got.base, nullptr);
  EXPECT_FALSE(platform::unmap(got.base, bytes).failed());
}

TEST(Page, CommitsAndUncommitsPiecesOfAReservation) {
  const std::size_t bytes = 16 * page();
  const auto got = platform::reserve(bytes, page());
  ASSERT_NE(got.base, nullptr);
  char* const piece = static_cast<char*>(got.base) + 4 * page();
  for (int round = 0; round < 3; ++round) {
    ASSERT_FALSE(platform::commit(piece, 8 * page()).failed());
    EXPECT_TRUE(all_zero(piece, 8 * page())) << round;
    std::memset(piece, 1, 8 * page());
    EXPECT_EQ(resident_pages(piece, 8 * page()), 8U);
    ASSERT_FALSE(platform::uncommit(piece, 8 * page()).failed());
    EXPECT_EQ(resident_pages(piece, 8 * page()), 0U);
  }
  EXPECT_FALSE(platform::unmap(got.base, bytes).failed());
}

TEST(Page, GivesMemoryBackAndReadsZeroAfterwards) {
  const std::size_t bytes = 64 * page();
  const auto got = platform::map(bytes, 2 * kMiB);
  ASSERT_NE(got.base, nullptr);
  std::memset(got.base, 0xFF, bytes);
  ASSERT_FALSE(platform::give_back(got.base, bytes / 2).failed());
  EXPECT_EQ(resident_pages(got.base, bytes / 2), 0U);
  EXPECT_TRUE(all_zero(got.base, bytes / 2));
  EXPECT_EQ(bytes_of(got.base)[bytes / 2], '\xFF');
  EXPECT_FALSE(platform::unmap(got.base, bytes).failed());
}

TEST(Page, ProtectAllowsReadingOnly) {
  const auto got = platform::map(page(), page());
  ASSERT_NE(got.base, nullptr);
  bytes_of(got.base)[0] = 7;
  ASSERT_FALSE(platform::protect(got.base, page(), access::read).failed());
  EXPECT_EQ(bytes_of(got.base)[0], 7);
  ASSERT_FALSE(platform::protect(got.base, page(), access::read_write).failed());
  bytes_of(got.base)[0] = 8;
  EXPECT_FALSE(platform::unmap(got.base, page()).failed());
}

TEST(Page, IsReservedAgainWhateverBecameOfItsPieces) {
  const auto got = platform::reserve(8 * page(), page());
  ASSERT_NE(got.base, nullptr);
  const auto at = [&](std::size_t i) { return static_cast<char*>(got.base) + i * page(); };
  ASSERT_FALSE(platform::commit(at(1), 2 * page()).failed());
  ASSERT_FALSE(platform::commit(at(5), page()).failed());
  for (const std::size_t i : {std::size_t{1}, std::size_t{2}, std::size_t{5}}) std::memset(at(i), 7, page());
  ASSERT_FALSE(platform::protect(at(2), page(), access::read).failed());
  ASSERT_FALSE(platform::reserve_again(at(0), 7 * page()).failed());
  for (std::size_t i = 0; i < 8; ++i) EXPECT_DEATH(bytes_of(at(i))[0] = 1, "") << i;
  ASSERT_FALSE(platform::commit(at(0), 8 * page()).failed());
  EXPECT_TRUE(all_zero(at(0), 8 * page()));
  EXPECT_FALSE(platform::unmap(got.base, 8 * page()).failed());
}

TEST(Page, PrefaultMakesEveryPageResidentAndKeepsContents) {
  const std::size_t bytes = 32 * page();
  const auto got = platform::map(bytes, page());
  ASSERT_NE(got.base, nullptr);
  bytes_of(got.base)[5 * page()] = 42;
  ASSERT_FALSE(platform::prefault(got.base, bytes).failed());
  EXPECT_EQ(resident_pages(got.base, bytes), 32U);
  EXPECT_EQ(bytes_of(got.base)[5 * page()], 42);
  EXPECT_FALSE(platform::unmap(got.base, bytes).failed());
}

TEST(Page, RefusesSizesThatWrapWithoutAskingForLess) {
  const std::size_t most = std::numeric_limits<std::size_t>::max() - page() + 1;  // the largest multiple of a page
  for (const std::size_t alignment : {page(), 2 * kMiB, kGiB}) {
    for (const std::size_t bytes : {most, most - kGiB, most / 2}) {
      os_script script;
      for (const auto got : {platform::map(bytes, alignment), platform::reserve(bytes, alignment)}) {
        EXPECT_EQ(got.base, nullptr);
        EXPECT_STREQ(got.error.call, "mmap");
        EXPECT_EQ(got.error.code, ENOMEM);
      }
      EXPECT_EQ(script.mapped_bytes(), 0U);
    }
  }
}

// What every step of getting an aligned range may meet, and what must be left of it: all or nothing.
TEST(Page, EveryRefusalOnTheWayToAnAlignedRangeLeavesNothingBehind) {
  for (const auto take : {&platform::map, &platform::reserve}) {
    for (const os_call call : {os_call::mmap, os_call::munmap, os_call::mprotect}) {
      fail_each(call, {ENOMEM, EAGAIN, EPERM, EINVAL}, [&](os_script& script) {
        const auto got = take(kMiB, kGiB);
        if (got.base == nullptr) {
          EXPECT_TRUE(got.error.failed());
          EXPECT_NE(got.error.code, 0);
          EXPECT_EQ(script.mapped_bytes(), 0U);
          return;
        }
        EXPECT_TRUE(aligned(got.base, kGiB));
        EXPECT_EQ(script.mapped_bytes(), kMiB);
        // The failure may have waited for this call: then the range is still there, and goes at the second attempt.
        if (platform::unmap(got.base, kMiB).failed()) EXPECT_FALSE(platform::unmap(got.base, kMiB).failed());
        EXPECT_EQ(script.mapped_bytes(), 0U);
      });
    }
  }
  EXPECT_EQ(platform::quarantined_bytes(), 0U);
}

TEST(Page, RefusedUnmapLeavesTheRangeUsable) {
  const auto got = platform::map(page(), page());
  ASSERT_NE(got.base, nullptr);
  bytes_of(got.base)[0] = 1;
  os_script script;
  script.fail(os_call::munmap, 1, ENOMEM);
  const auto refused = platform::unmap(got.base, page());
  EXPECT_STREQ(refused.call, "munmap");
  EXPECT_EQ(refused.code, ENOMEM);
  EXPECT_EQ(bytes_of(got.base)[0], 1);
  EXPECT_FALSE(platform::unmap(got.base, page()).failed());
}

TEST(Page, RefusedCommitLeavesTheReservation) {
  const auto got = platform::reserve(4 * page(), page());
  ASSERT_NE(got.base, nullptr);
  os_script script;
  script.fail(os_call::mprotect, 1, ENOMEM);
  const auto refused = platform::commit(got.base, page());
  EXPECT_STREQ(refused.call, "mprotect");
  EXPECT_EQ(refused.code, ENOMEM);
  EXPECT_FALSE(platform::commit(got.base, page()).failed());
  bytes_of(got.base)[0] = 1;
  EXPECT_FALSE(platform::unmap(got.base, 4 * page()).failed());
}

// --- what must fault

class PageDeathTest : public testing::Test {
 protected:
  void SetUp() override { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};

TEST_F(PageDeathTest, ReservedAddressSpaceFaults) {
  const auto got = platform::reserve(page(), page());
  ASSERT_NE(got.base, nullptr);
  EXPECT_DEATH(bytes_of(got.base)[0] = 1, "");
  EXPECT_FALSE(platform::unmap(got.base, page()).failed());
}

TEST_F(PageDeathTest, UncommittedMemoryFaults) {
  const auto got = platform::reserve(2 * page(), page());
  ASSERT_NE(got.base, nullptr);
  ASSERT_FALSE(platform::commit(got.base, 2 * page()).failed());
  bytes_of(got.base)[page()] = 1;
  ASSERT_FALSE(platform::uncommit(static_cast<char*>(got.base) + page(), page()).failed());
  bytes_of(got.base)[0] = 1;
  EXPECT_DEATH(bytes_of(got.base)[page()] = 1, "");
  EXPECT_FALSE(platform::unmap(got.base, 2 * page()).failed());
}

TEST_F(PageDeathTest, WritingWhatMayOnlyBeReadFaults) {
  const auto got = platform::map(page(), page());
  ASSERT_NE(got.base, nullptr);
  ASSERT_FALSE(platform::protect(got.base, page(), access::read).failed());
  EXPECT_DEATH(bytes_of(got.base)[0] = 1, "");
  EXPECT_FALSE(platform::unmap(got.base, page()).failed());
}

}  // namespace
