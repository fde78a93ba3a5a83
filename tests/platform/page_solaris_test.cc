// SPDX-License-Identifier: Apache-2.0
// Claims, on Solaris:
//  * what is reserved takes no swap, what is committed does, and what is uncommitted or unmapped returns it; a commit
//    beyond what there is is refused, and changes nothing
//  * memory is handed back and zero on a kernel with MADV_PURGE and on one without, locked pages included
//  * page sizes are those of getpagesizes; the base page alone when it fails
//  * each call may fail: the answer says which and how, and books and memory are as before
#include <gtest/gtest.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <vector>

#include "tests/fakes/solaris/machine.h"
#include "tests/platform/page_checks.h"

import strata.platform;

namespace {

namespace platform = strata::platform;
using platform::access;
using strata::fake_solaris::fresh_machine;
using strata::fake_solaris::locked_bytes;
using strata::fake_solaris::mapped_regions;
using strata::fake_solaris::reserved_swap;
using strata::test::all_zero;
using strata::test::bytes_of;

std::size_t page() { return platform::page_size(); }

std::size_t resident_pages(void* base, std::size_t bytes) { return strata::test::resident_pages(base, bytes, page()); }

struct PageSolaris : testing::Test {
  fresh_machine machine;
  std::uint64_t swap_before = reserved_swap();
  std::uint64_t regions_before = mapped_regions();

  [[nodiscard]] std::uint64_t swap() const { return reserved_swap() - swap_before; }
  ~PageSolaris() override {
    EXPECT_EQ(reserved_swap(), swap_before);
    EXPECT_EQ(mapped_regions(), regions_before) << "something is still mapped";
  }
};

TEST_F(PageSolaris, SwapGoesWithWhatIsCommitted) {
  const auto got = platform::reserve(16 * page(), page());
  ASSERT_NE(got.base, nullptr);
  EXPECT_EQ(swap(), 0U);
  char* const piece = static_cast<char*>(got.base) + 4 * page();
  ASSERT_FALSE(platform::commit(piece, 8 * page()).failed());
  EXPECT_EQ(swap(), 8 * page());
  ASSERT_FALSE(platform::uncommit(piece, 4 * page()).failed());
  EXPECT_EQ(swap(), 4 * page());
  ASSERT_FALSE(platform::protect(piece + 4 * page(), page(), access::none).failed());
  EXPECT_EQ(swap(), 4 * page()) << "contents that may be read again keep theirs";
  ASSERT_FALSE(platform::unmap(got.base, 16 * page()).failed());
  EXPECT_EQ(swap(), 0U);
}

TEST_F(PageSolaris, RefusesWhatThereIsNoSwapFor) {
  machine->swap = reserved_swap() + 4 * page();
  EXPECT_EQ(platform::map(5 * page(), page()).error.code, EAGAIN);
  const auto got = platform::reserve(1024 * page(), page());
  ASSERT_NE(got.base, nullptr) << "address space is free";
  const auto refused = platform::commit(got.base, 5 * page());
  EXPECT_STREQ(refused.call, "mprotect");
  EXPECT_EQ(refused.code, EAGAIN);
  EXPECT_EQ(swap(), 0U);
  EXPECT_FALSE(platform::commit(got.base, 4 * page()).failed());
  EXPECT_FALSE(platform::uncommit(got.base, 4 * page()).failed());
  EXPECT_FALSE(platform::commit(got.base, 4 * page()).failed()) << "what was given back can be had again";
  std::memset(got.base, 1, 4 * page());
  EXPECT_FALSE(platform::unmap(got.base, 1024 * page()).failed());
}

TEST_F(PageSolaris, GivesBackWithAndWithoutPurge) {
  for (const bool purges : {true, false}) {
    machine->purges = purges;
    const auto got = platform::map(64 * page(), page());
    ASSERT_NE(got.base, nullptr);
    std::memset(got.base, 7, 64 * page());
    ASSERT_FALSE(platform::give_back(got.base, 32 * page()).failed());
    EXPECT_EQ(resident_pages(got.base, 32 * page()), 0U);
    EXPECT_TRUE(all_zero(got.base, 32 * page()));
    EXPECT_EQ(bytes_of(got.base)[32 * page()], 7);
    EXPECT_EQ(swap(), 64 * page());
    EXPECT_FALSE(platform::unmap(got.base, 64 * page()).failed());
  }
}

TEST_F(PageSolaris, LockedPagesThatPurgePassesOverReadAsZeroAllTheSame) {
  machine->may_lock = true;
  const std::size_t bytes = 600 * page();  // more than one mincore() tells
  const auto got = platform::map(bytes, page());
  ASSERT_NE(got.base, nullptr);
  std::memset(got.base, 7, bytes);
  char* const piece = static_cast<char*>(got.base) + 300 * page();
  ASSERT_FALSE(platform::lock(piece, 2 * page(), platform::lock_time::now).failed());
  ASSERT_FALSE(platform::give_back(got.base, bytes).failed());
  EXPECT_EQ(resident_pages(got.base, bytes), 2U) << "the rest has gone";
  EXPECT_EQ(locked_bytes(), 2 * page());
  EXPECT_TRUE(all_zero(got.base, bytes));
  EXPECT_FALSE(platform::unmap(got.base, bytes).failed());
}

TEST_F(PageSolaris, UncommitEndsLocks) {
  machine->may_lock = true;
  const auto got = platform::map(4 * page(), page());
  ASSERT_NE(got.base, nullptr);
  ASSERT_FALSE(platform::lock(got.base, 4 * page(), platform::lock_time::now).failed());
  ASSERT_FALSE(platform::uncommit(got.base, 4 * page()).failed());
  EXPECT_EQ(locked_bytes(), 0U);
  EXPECT_EQ(resident_pages(got.base, 4 * page()), 0U);
  EXPECT_FALSE(platform::unmap(got.base, 4 * page()).failed());
}

TEST_F(PageSolaris, EachCallMayFailAndThenNothingHasChanged) {
  const auto got = platform::map(4 * page(), page());
  ASSERT_NE(got.base, nullptr);
  std::memset(got.base, 9, 4 * page());
  for (const int code : {ENOMEM, EAGAIN, EACCES}) {
    const auto expect = [&](const char* call, platform::os_error refused) {
      EXPECT_STREQ(refused.call, call);
      EXPECT_EQ(refused.code, code);
      EXPECT_EQ(bytes_of(got.base)[0], 9);
      EXPECT_EQ(swap(), 4 * page());
    };
    machine.fail("mmap", 1, code);
    expect("mmap", platform::map(page(), page()).error);
    machine.fail("mmap", 1, code);
    expect("mmap", platform::reserve(page(), page()).error);
    machine.fail("mmap", 1, code);
    expect("mmap", platform::uncommit(got.base, page()));
    machine.fail("munmap", 1, code);
    expect("munmap", platform::unmap(got.base, 4 * page()));
    machine.fail("mprotect", 1, code);
    expect("mprotect", platform::protect(got.base, page(), access::none));
    machine.fail("madvise", 1, code);
    expect("madvise", platform::give_back(got.base, page()));
    machine->purges = false;
    machine.fail("mmap", 1, code);
    expect("mmap", platform::give_back(got.base, page()));
    machine->purges = true;
  }
  EXPECT_FALSE(platform::unmap(got.base, 4 * page()).failed());
}

TEST_F(PageSolaris, SizesAreThoseOfTheSystem) {
  std::array<std::size_t, 4> sizes{};
  EXPECT_EQ(platform::page_sizes(sizes), 3U);
  EXPECT_EQ(sizes, (std::array<std::size_t, 4>{4096, std::size_t{2} << 20, std::size_t{1} << 30, 0}));
  std::array<std::size_t, 2> two{};
  EXPECT_EQ(platform::page_sizes(two), 3U) << "as many as there are";
  EXPECT_EQ(two[1], std::size_t{2} << 20);
  EXPECT_EQ(platform::page_sizes({}), 3U);
  machine->page_sizes = {8192, 4 << 20, 64 << 10};
  EXPECT_EQ(platform::page_sizes(sizes), 3U);
  EXPECT_EQ(sizes[1], std::size_t{64} << 10) << "smallest first, in whatever order";
  machine->page_sizes[0] = 4096;
  machine.fail("getpagesizes", 1, EINVAL);
  EXPECT_EQ(platform::page_sizes(sizes), 1U);
  EXPECT_EQ(sizes[0], 4096U);
}

TEST_F(PageSolaris, NothingIsEverCutOffOrQuarantined) {
  const auto got = platform::map(page(), std::size_t{1} << 30);
  ASSERT_NE(got.base, nullptr);
  EXPECT_EQ(mapped_regions(), regions_before + 1);
  EXPECT_FALSE(platform::unmap(got.base, page()).failed());
  EXPECT_EQ(platform::quarantined_bytes(), 0U);
}

}  // namespace
