// SPDX-License-Identifier: Apache-2.0
// Claims: what the kernel says of a range is told, touched or not, large or not, by either way of asking; advice makes
// large pages of whole ones when touched, collapse of what is there, contents kept; pool pages come aligned and zero, are
// large, and an empty pool is a refusal, not a signal; every call can fail with every errno that applies; garbled files
// are not believed. What needs large pages is skipped where there are none.
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string>

#include "tests/os_script/os_script.h"
#include "tests/platform/fake_tree.h"
#include "tests/support/huge_pool.h"
#include "tests/support/sanitizer.h"

import strata.platform;

namespace {

namespace platform = strata::platform;
using strata::test::huge_pool;
using strata::test::os_call;
using strata::test::os_script;

constexpr std::size_t kLarge = std::size_t{2} << 20;

struct LargePage : testing::Test {
  static constexpr std::size_t bytes = 2 * kLarge;
  char* base = static_cast<char*>(platform::map(bytes, kLarge).base);

  void SetUp() override {
    ASSERT_NE(base, nullptr);
    if (platform::large_page_size() != kLarge) GTEST_SKIP() << "large pages of 2 MiB are not known here";
  }
  ~LargePage() override { EXPECT_FALSE(platform::unmap(base, bytes).failed()); }

  [[nodiscard]] platform::backing what() const {
    platform::backing found;
    EXPECT_FALSE(platform::backing_of(base, bytes, found).failed());
    return found;
  }
};

bool advice_is_heeded() {
  std::ifstream file("/sys/kernel/mm/transparent_hugepage/enabled");
  std::stringstream text;
  text << file.rdbuf();
  return text.str().find("[never]") == std::string::npos && !text.str().empty();
}

TEST_F(LargePage, OfWhatWasNotTouchedNothingIsThere) {
  EXPECT_EQ(what().resident, 0U);
  ASSERT_EQ(::madvise(base, bytes, MADV_NOHUGEPAGE), 0);
  base[0] = base[kLarge] = 1;
  EXPECT_EQ(what().resident, 2 * platform::page_size());
  EXPECT_EQ(what().large, 0U);
}

TEST_F(LargePage, AdviceMakesLargePagesWhenTouched) {
  if (!advice_is_heeded()) GTEST_SKIP() << "transparent huge pages are switched off";
  ASSERT_FALSE(platform::advise_large(base, bytes).failed());
  base[0] = 1;
  const platform::backing found = what();
  if (found.large == 0) GTEST_SKIP() << "no large page was free";
  EXPECT_EQ(found.large, kLarge);
  EXPECT_EQ(found.resident, kLarge);
}

TEST_F(LargePage, CollapseMakesLargePagesOfWhatIsThereAndKeepsIt) {
  ASSERT_EQ(::madvise(base, bytes, MADV_NOHUGEPAGE), 0);
  std::memset(base, 5, kLarge);
  base[kLarge] = 6;
  ASSERT_EQ(::madvise(base, bytes, MADV_HUGEPAGE), 0);
  const platform::os_error refused = platform::collapse(base, bytes);
  if (refused.code == EINVAL || refused.code == ENOMEM || refused.code == EAGAIN) {
    GTEST_SKIP() << "the kernel cannot: " << platform::name_of(refused);
  }
  ASSERT_FALSE(refused.failed()) << platform::name_of(refused);
  EXPECT_EQ(what().large, bytes);
  EXPECT_EQ(base[0], 5);
  EXPECT_EQ(base[kLarge - 1], 5);
  EXPECT_EQ(base[kLarge], 6);
  EXPECT_EQ(base[bytes - 1], 0);
}

TEST_F(LargePage, BothWaysOfAskingAgree) {
  if (strata::test::under_asan || strata::test::under_tsan) GTEST_SKIP() << "smaps of a sanitized process is endless";
  ASSERT_FALSE(platform::advise_large(base, kLarge).failed());
  base[0] = base[kLarge] = 1;
  const platform::backing scanned = what();
  os_script script;
  script.fail_always(os_call::ioctl, ENOTTY);
  const platform::backing read = what();
  EXPECT_EQ(read.resident, scanned.resident);
  EXPECT_EQ(read.large, scanned.large);
}

TEST_F(LargePage, FromThePoolIsAlignedZeroAndLarge) {
  const huge_pool pool(2);
  if (huge_pool::free_pages() < 2) GTEST_SKIP() << "this user, or this machine, cannot fill the pool";
  const platform::mapping got = platform::map_large(2 * kLarge, kLarge);
  ASSERT_NE(got.base, nullptr) << platform::name_of(got.error);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(got.base) % kLarge, 0U);
  auto* const p = static_cast<char*>(got.base);
  EXPECT_EQ(p[0], 0);
  p[0] = p[kLarge] = 1;
  platform::backing found;
  EXPECT_FALSE(platform::backing_of(got.base, 2 * kLarge, found).failed());
  EXPECT_EQ(found.large, 2 * kLarge);
  EXPECT_EQ(platform::map_large(std::size_t{1} << 40, kLarge).error.code, ENOMEM);
  EXPECT_FALSE(platform::unmap(got.base, 2 * kLarge).failed());
}

TEST_F(LargePage, OfAnEmptyPoolIsRefusedAtOnce) {
  if (huge_pool::free_pages() != 0) GTEST_SKIP() << "the pool is not empty";
  const platform::mapping got = platform::map_large(kLarge, kLarge);
  EXPECT_EQ(got.base, nullptr);
  EXPECT_TRUE(got.error.code == ENOMEM || got.error.code == EINVAL) << platform::name_of(got.error);
}

TEST_F(LargePage, EveryCallCanFail) {
  os_script script;
  for (const int code : {ENOMEM, EAGAIN, EPERM, EINVAL}) {
    script.fail(os_call::mmap, 1, code);
    EXPECT_EQ(platform::map_large(kLarge, kLarge).error.code, code);
  }
  for (const int code : {EINVAL, ENOMEM, EAGAIN, EBUSY}) {
    script.fail(os_call::madvise, 1, code);
    EXPECT_EQ(platform::advise_large(base, bytes).code, code);
    script.fail(os_call::madvise, 1, code);
    EXPECT_EQ(platform::collapse(base, bytes).code, code);
  }
  script.fail_always(os_call::open, EACCES);
  platform::backing found;
  EXPECT_TRUE(platform::backing_of(base, bytes, found).failed());
  EXPECT_EQ(found.large, 0U);
}

using LargePageTree = strata::test::fake_tree;

TEST_F(LargePageTree, TheSizeIsRead) {
  EXPECT_EQ(platform::large_page_size(root()), 0U);
  write("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size", "33554432\n");
  EXPECT_EQ(platform::large_page_size(root()), std::size_t{32} << 20);
  for (const char* text : {"", "3000000\n", "4096\n", "many\n", "99999999999999999999\n"}) {
    write("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size", text);
    EXPECT_EQ(platform::large_page_size(root()), 0U) << text;
  }
}

TEST_F(LargePageTree, ARangeHasItsShareOfEveryMapping) {
  write("/proc/self/smaps",
        "00100000-00400000 rw-p 00000000 00:00 0 \n"
        "Size:               3072 kB\nRss:                3072 kB\nAnonHugePages:      2048 kB\nVmFlags: rd wr \n"
        "00400000-00800000 rw-p 00000000 00:00 0          [anon:a b]\n"
        "Rss:                   8 kB\nAnonHugePages:         0 kB\n"
        "00800000-00c00000 rw-p 00000000 00:0f 123   /anon_hugepage (deleted)\n"
        "Rss:                   0 kB\nShared_Hugetlb:        0 kB\nPrivate_Hugetlb:    4096 kB\n");
  platform::backing found;
  const auto of = [&](std::uintptr_t from, std::size_t size) {
    EXPECT_FALSE(platform::backing_of(reinterpret_cast<void*>(from), size, found, root()).failed());
    return found;
  };
  EXPECT_EQ(of(0x100000, 0x300000).resident, 0x300000U);
  EXPECT_EQ(found.large, 0x200000U);
  EXPECT_EQ(of(0x200000, 0x1000).large, 0x1000U) << "no more than the range";
  EXPECT_EQ(of(0x400000, 0x400000).resident, 0x2000U);
  EXPECT_EQ(found.large, 0U);
  EXPECT_EQ(of(0x800000, 0x400000).large, 0x400000U);
  EXPECT_EQ(of(0x100000, 0xb00000).large, 0x600000U);
  EXPECT_EQ(of(0xd00000, 0x100000).resident, 0U);
}

}  // namespace
