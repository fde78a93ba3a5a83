// SPDX-License-Identifier: Apache-2.0
// Claims, on Linux:
//  * enter puts pages of an object into the page table, so that they do not fault; an old kernel is no error
//  * prefault does the same on a kernel without MADV_POPULATE_WRITE; what would be a signal is an error
//  * the calls below may fail, at every step, with every errno that applies: the answer says which, and nothing leaks
//  * at the limit of mappings a range comes whole or not at all; what cannot be given back is counted, and faults
//  * page sizes come from the machine's files, in order, whatever is in them
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/prctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include "tests/os_script/os_script.h"
#include "tests/platform/fake_tree.h"
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

/// Pages of the range that are in this process's page table.
std::size_t entered_pages(const void* base, std::size_t bytes) {
  const int map = ::open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
  std::size_t entered = 0;
  for (std::size_t i = 0; i < bytes / page(); ++i) {
    std::uint64_t entry = 0;
    const auto at = static_cast<off_t>((reinterpret_cast<std::uintptr_t>(base) / page() + i) * sizeof entry);
    if (::pread(map, &entry, sizeof entry, at) != sizeof entry) ADD_FAILURE() << "no pagemap";
    if ((entry >> 63) != 0) ++entered;
  }
  ::close(map);
  return entered;
}

TEST(PageLinux, EnterPutsPagesOfAnObjectIntoAnotherMappingOfIt) {
  const std::size_t bytes = 64 * page();
  const int object = ::memfd_create("entered", MFD_CLOEXEC);
  ASSERT_EQ(::ftruncate(object, static_cast<off_t>(bytes)), 0);
  const auto map = [&] { return ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, object, 0); };
  void* const first = map();
  ASSERT_NE(first, MAP_FAILED);
  std::memset(first, 0x5A, bytes);
  auto* const other = static_cast<char*>(map());
  ASSERT_NE(other, MAP_FAILED);
  EXPECT_EQ(entered_pages(other, bytes), 0U);
  ASSERT_FALSE(platform::enter(other + 16 * page(), 32 * page()).failed());
  EXPECT_EQ(entered_pages(other + 16 * page(), 32 * page()), 32U);
  EXPECT_EQ(other[16 * page()], 0x5A);
  other[47 * page()] = 1;
  EXPECT_EQ(static_cast<const char*>(first)[47 * page()], 1);
  {
    os_script script;
    script.fail(os_call::madvise, 1, EINVAL);  // an old kernel
    EXPECT_FALSE(platform::enter(other, page()).failed());
    script.fail(os_call::madvise, 1, ENOMEM);
    EXPECT_EQ(platform::enter(other, page()).code, ENOMEM);
  }
  ::munmap(first, bytes);
  ::munmap(other, bytes);
  ::close(object);
}

TEST(PageLinux, PrefaultDoesWithoutPopulateOnAnOldKernel) {
  const std::size_t bytes = 32 * page();
  const auto got = platform::map(bytes, page());
  ASSERT_NE(got.base, nullptr);
  const std::uint32_t mark = 0xFEDC'BA98U;
  std::memcpy(static_cast<char*>(got.base) + 5 * page(), &mark, sizeof mark);
  os_script script;
  script.fail(os_call::madvise, 1, EINVAL);
  ASSERT_FALSE(platform::prefault(got.base, bytes).failed());
  EXPECT_EQ(resident_pages(got.base, bytes), 32U);
  EXPECT_EQ(script.calls(os_call::syscall), 32U);
  std::uint32_t found = 0;
  std::memcpy(&found, static_cast<char*>(got.base) + 5 * page(), sizeof found);
  EXPECT_EQ(found, mark);
  EXPECT_FALSE(platform::unmap(got.base, bytes).failed());
}

TEST(PageLinux, PrefaultOfWhatCannotBeWrittenIsAnErrorNotASignal) {
  const auto got = platform::map(2 * page(), page());
  ASSERT_NE(got.base, nullptr);
  ASSERT_FALSE(platform::protect(got.base, 2 * page(), access::read).failed());
  EXPECT_TRUE(platform::prefault(got.base, 2 * page()).failed());
  os_script script;
  script.fail(os_call::madvise, 1, EINVAL);
  const auto refused = platform::prefault(got.base, 2 * page());
  EXPECT_STREQ(refused.call, "futex");
  EXPECT_EQ(refused.code, EFAULT);
  EXPECT_FALSE(platform::unmap(got.base, 2 * page()).failed());
}

TEST(PageLinux, NamesARangeWhereTheKernelCan) {
  const std::size_t bytes = 4 * page();
  const auto got = platform::map(bytes, page());
  ASSERT_NE(got.base, nullptr);
  // Asked directly first: name() does not tell an old kernel from a new one.
  const bool can = ::prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, got.base, bytes, "other") == 0;
  EXPECT_FALSE(platform::name(got.base, bytes, "strata page test").failed());
  std::ifstream maps("/proc/self/maps");
  std::string line;
  bool seen = false;
  while (std::getline(maps, line)) seen |= line.ends_with("[anon:strata page test]");
  EXPECT_EQ(seen, can);
  os_script script;
  script.fail(os_call::prctl, 1, EINVAL);
  EXPECT_FALSE(platform::name(got.base, bytes, "old kernel").failed());
  script.fail(os_call::prctl, 1, ENOMEM);
  EXPECT_EQ(platform::name(got.base, bytes, "too many mappings").code, ENOMEM);
  EXPECT_FALSE(platform::unmap(got.base, bytes).failed());
}

TEST(PageLinux, NamesTheCallThatRefused) {
  os_script script;
  script.fail(os_call::mmap, 1, EAGAIN);
  const auto refused_map = platform::map(page(), page());
  EXPECT_STREQ(refused_map.error.call, "mmap");
  EXPECT_EQ(refused_map.error.code, EAGAIN);
  script.fail(os_call::mprotect, 1, ENOMEM);
  const auto refused_protect = platform::map(page(), kMiB);
  EXPECT_STREQ(refused_protect.error.call, "mprotect");
  EXPECT_EQ(refused_protect.error.code, ENOMEM);
  EXPECT_EQ(script.mapped_bytes(), 0U);
}

TEST(PageLinux, SurplusThatCannotBeGivenBackIsQuarantinedAndCounted) {
  const std::size_t before = platform::quarantined_bytes();
  os_script script;
  script.fail_always(os_call::munmap, ENOMEM);
  const auto got = platform::map(kMiB, kGiB);
  ASSERT_NE(got.base, nullptr);
  EXPECT_TRUE(aligned(got.base, kGiB));
  EXPECT_TRUE(all_zero(got.base, kMiB));
  script.fail_always(os_call::munmap, 0);
  EXPECT_FALSE(platform::unmap(got.base, kMiB).failed());
  EXPECT_EQ(platform::quarantined_bytes() - before, kGiB - page());
  EXPECT_EQ(script.mapped_bytes(), kGiB - page());
}

TEST(PageLinux, RefusedUncommitKeepsAccessAndContents) {
  const auto got = platform::reserve(4 * page(), page());
  ASSERT_NE(got.base, nullptr);
  ASSERT_FALSE(platform::commit(got.base, 2 * page()).failed());
  bytes_of(got.base)[0] = 9;
  for (const os_call call : {os_call::mprotect, os_call::madvise}) {
    for (const int code : {ENOMEM, EINVAL, EAGAIN}) {
      os_script script;
      script.fail(call, 1, code);
      EXPECT_EQ(platform::uncommit(got.base, 2 * page()).code, code);
      EXPECT_EQ(bytes_of(got.base)[0], 9);
      bytes_of(got.base)[0] = 9;
    }
  }
  {
    // Not even the way back is open: the first refusal is told, the contents are kept behind no access.
    os_script script;
    script.fail(os_call::madvise, 1, EINVAL);
    script.fail(os_call::mprotect, 2, ENOMEM);
    const auto refused = platform::uncommit(got.base, 2 * page());
    EXPECT_STREQ(refused.call, "madvise");
    EXPECT_EQ(refused.code, EINVAL);
  }
  ASSERT_FALSE(platform::protect(got.base, 2 * page(), access::read).failed());
  EXPECT_EQ(bytes_of(got.base)[0], 9);
  EXPECT_FALSE(platform::unmap(got.base, 4 * page()).failed());
}

TEST(PageLinux, PrefaultReportsWhatTheKernelSays) {
  const auto got = platform::map(page(), page());
  ASSERT_NE(got.base, nullptr);
  for (const int code : {EFAULT, ENOMEM, EHWPOISON}) {
    os_script script;
    script.fail(os_call::madvise, 1, code);
    const auto refused = platform::prefault(got.base, page());
    EXPECT_STREQ(refused.call, "madvise");
    EXPECT_EQ(refused.code, code);
    EXPECT_EQ(script.calls(os_call::syscall), 0U);
  }
  EXPECT_FALSE(platform::unmap(got.base, page()).failed());
}

TEST(PageLinux, GiveBackReportsWhatTheKernelSays) {
  const auto got = platform::map(page(), page());
  ASSERT_NE(got.base, nullptr);
  bytes_of(got.base)[0] = 3;
  os_script script;
  script.fail(os_call::madvise, 1, EINVAL);
  EXPECT_EQ(platform::give_back(got.base, page()).code, EINVAL);
  EXPECT_EQ(bytes_of(got.base)[0], 3);
  EXPECT_FALSE(platform::unmap(got.base, page()).failed());
}

// The same without a script: a process that really has as many mappings as it may have, and then one fewer, two fewer,
// …
TEST(PageLinux, AtTheKernelsLimitOfMappingsRangesAreAllOrNothing) {
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
  GTEST_SKIP() << "this sanitizer's runtime follows each mmap with one of its own and cannot live at the limit";
#else
  std::size_t limit = 0;
  std::ifstream("/proc/sys/vm/max_map_count") >> limit;
  if (limit == 0 || limit > 300'000) GTEST_SKIP() << "the limit is " << limit << ": too many to fill, or not told";
  const std::size_t quarantined = platform::quarantined_bytes();
  const std::size_t bytes = 2 * limit * page();
  const auto filler = platform::reserve(bytes, page());
  ASSERT_NE(filler.base, nullptr);
  const auto at = [&](std::size_t index) { return static_cast<char*>(filler.base) + index * page(); };

  // Nothing here asks for memory, GoogleTest included, until the mappings are given back.
  std::size_t filled = 0;  // every other page, each a mapping of its own and the cause of one behind it
  platform::os_error full{};
  while (2 * filled + 1 < 2 * limit && !(full = platform::commit(at(2 * filled + 1), page())).failed()) ++filled;
  unsigned granted = 0;
  unsigned refused = 0;
  bool intact = true;
  for (unsigned fewer = 0; fewer < 12; ++fewer) {
    for (const auto take : {&platform::map, &platform::reserve}) {
      for (const std::size_t alignment : {page(), 2 * kMiB, kGiB}) {
        os_script script;
        const auto got = take(4 * page(), alignment);
        intact = intact && script.mapped_bytes() == (got.base != nullptr ? 4 * page() : 0);
        if (got.base == nullptr) {
          ++refused;
          intact = intact && got.error.code == ENOMEM;
          continue;
        }
        ++granted;
        intact = intact && aligned(got.base, alignment);
        if (take == &platform::map) bytes_of(got.base)[0] = 1;
        intact = intact && !platform::unmap(got.base, 4 * page()).failed() && script.mapped_bytes() == 0;
      }
    }
    intact = intact && !platform::protect(at(2 * filled - 1), page(), access::none).failed();
    --filled;
  }
  ASSERT_FALSE(platform::unmap(filler.base, bytes).failed());
  EXPECT_TRUE(full.failed());
  EXPECT_EQ(full.code, ENOMEM);
  EXPECT_TRUE(intact);
  EXPECT_GT(granted, 0U);
  EXPECT_GT(refused, 0U);
  EXPECT_EQ(platform::quarantined_bytes(), quarantined);
#endif
}

// --- page sizes from a tree of our own

class PageSizes : public strata::test::fake_tree {
 protected:
  void pool(const std::string& name) const { directory("/sys/kernel/mm/hugepages/" + name); }
  void transparent(const std::string& text) const { write("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size", text); }

  std::vector<std::size_t> sizes() const {
    std::vector<std::size_t> all(64);
    all.resize(platform::page_sizes(all, root()));
    return all;
  }
};

TEST_F(PageSizes, AreSortedAndListedOnce) {
  pool("hugepages-1048576kB");
  pool("hugepages-64kB");
  pool("hugepages-2048kB");
  transparent("2097152\n");
  EXPECT_EQ(sizes(), (std::vector<std::size_t>{page(), 64 * kKiB, 2 * kMiB, kGiB}));
}

TEST_F(PageSizes, CountWhatDoesNotFit) {
  pool("hugepages-2048kB");
  pool("hugepages-1048576kB");
  std::array<std::size_t, 2> two{};
  EXPECT_EQ(platform::page_sizes(two, root()), 3U);
  EXPECT_EQ(two, (std::array<std::size_t, 2>{page(), 2 * kMiB}));
  EXPECT_EQ(platform::page_sizes({}, root()), 3U);
}

TEST_F(PageSizes, ComeFromTransparentPagesAlone) {
  transparent("2097152\n");
  EXPECT_EQ(sizes(), (std::vector<std::size_t>{page(), 2 * kMiB}));
}

TEST_F(PageSizes, IgnoreWhatIsNoPageSize) {
  for (const char* name : {"hugepages-kB", "hugepages-2048", "hugepages-3000kB", "hugepages--2048kB", "hugepages-0kB",
                           "2048kB", "hugepages-99999999999999999999999kB", "hugepages-18014398509484032kB",
                           "hugepages-2kB", "hugepages-2048kBx", "free_hugepages"}) {
    pool(name);
  }
  transparent("two megabytes\n");
  EXPECT_EQ(sizes(), (std::vector<std::size_t>{page()}));
}

TEST_F(PageSizes, AreTheBasePageAloneWhereNothingIsTold) {
  remove("/sys");
  EXPECT_EQ(sizes(), (std::vector<std::size_t>{page()}));
  EXPECT_EQ(platform::page_sizes({}, (root() + std::string(5000, 'x')).c_str()), 1U);
}

TEST_F(PageSizes, SurviveEveryFailureOfEveryFileCall) {
  pool("hugepages-2048kB");
  transparent("2097152\n");
  for (const os_call call : {os_call::open, os_call::read, os_call::getdents64, os_call::close}) {
    fail_each(call, {EACCES, EMFILE, EIO}, [&](os_script& script) {
      std::array<std::size_t, 8> found{};
      const std::size_t known = platform::page_sizes(found, root());
      EXPECT_EQ(found[0], page());
      EXPECT_LE(known, 2U);
      if (script.failed(call) == 0) EXPECT_EQ(known, 2U);
    });
  }
}

TEST_F(PageSizes, RepeatInterruptedCalls) {
  pool("hugepages-2048kB");
  pool("hugepages-1048576kB");
  transparent("65536\n");
  for (const os_call call : {os_call::open, os_call::read, os_call::getdents64}) {
    const unsigned met = fail_each(call, {EINTR}, [&](os_script&) {
      std::array<std::size_t, 8> found{};
      EXPECT_EQ(platform::page_sizes(found, root()), 4U);
    });
    EXPECT_GT(met, 0U);
  }
}

TEST(PageLinuxDeathTest, QuarantinedSurplusFaults) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(
      {
        os_script script;
        script.fail_always(os_call::munmap, ENOMEM);
        const auto got = platform::map(page(), kGiB);
        if (got.base == nullptr || !aligned(got.base, kGiB)) std::_Exit(0);
        bytes_of(got.base)[page()] = 1;
      },
      "");
}

}  // namespace
