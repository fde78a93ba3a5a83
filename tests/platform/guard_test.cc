// SPDX-License-Identifier: Apache-2.0
// Claims:
//  * a guarded page faults on load and store, with SIGSEGV at the very address; the bytes next to it do not
//  * guards cost no mapping; they outlast giving back and protecting; a child has them; unguard() takes them away
//  * private memory loses its contents, an object keeps them and other mappings of it go on
//  * system calls answer EFAULT for a guarded page
//  * what the kernel can do is found out, also where everything is locked; a kernel without guards is a value
//  * locked ranges are refused; interrupted calls are repeated, but not for ever
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <string>

#include "tests/os_script/os_script.h"
#include "tests/platform/faults.h"
#include "tests/support/sanitizer.h"
#include "tests/support/shared_memory.h"

import strata.platform;

namespace {

namespace platform = strata::platform;
using platform::guard_support;
using strata::test::fault_of_load;
using strata::test::fault_of_store;
using strata::test::fault_seen;
using strata::test::in_child;
using strata::test::os_call;
using strata::test::os_script;

#ifdef MADV_GUARD_INSTALL
static_assert(MADV_GUARD_INSTALL == 102 && MADV_GUARD_REMOVE == 103);
#else
constexpr int MADV_GUARD_INSTALL = 102;
constexpr int MADV_GUARD_REMOVE = 103;
#endif

std::size_t page() { return platform::page_size(); }

/// Lines of /proc/self/maps that lie in a range.
std::size_t mappings_in(const void* base, std::size_t bytes) {
  const auto first = reinterpret_cast<std::uintptr_t>(base);
  std::ifstream maps("/proc/self/maps");
  std::size_t count = 0;
  for (std::string line; std::getline(maps, line);) {
    const std::uintptr_t begin = std::stoull(line, nullptr, 16);
    if (begin >= first && begin < first + bytes) ++count;
  }
  return count;
}

/// Some pages of private memory, or of an object mapped twice.
class pages_to_guard {
 public:
  explicit pages_to_guard(bool shared, std::size_t count = 8) : bytes_(count * page()) {
    if (!shared) {
      const auto got = platform::map(bytes_, page());
      base_ = static_cast<char*>(got.base);
      EXPECT_NE(base_, nullptr);
      return;
    }
    const auto made = platform::create_unnamed("strata guard test");
    EXPECT_GE(made.descriptor, 0);
    EXPECT_FALSE(platform::resize(made.descriptor, bytes_).failed());
    base_ = static_cast<char*>(platform::map_object(made.descriptor, bytes_, page(), 0).base);
    other_ = static_cast<char*>(platform::map_object(made.descriptor, bytes_, page(), 0).base);
    EXPECT_NE(base_, nullptr);
    EXPECT_NE(other_, nullptr);
    platform::close_object(made.descriptor);
  }
  ~pages_to_guard() {
    EXPECT_FALSE(platform::unmap(base_, bytes_).failed());
    if (other_ != nullptr) EXPECT_FALSE(platform::unmap(other_, bytes_).failed());
  }
  pages_to_guard(const pages_to_guard&) = delete;
  pages_to_guard& operator=(const pages_to_guard&) = delete;

  char* at(std::size_t number) const { return base_ + number * page(); }
  char* elsewhere(std::size_t number) const { return other_ + number * page(); }
  std::size_t bytes() const { return bytes_; }

 private:
  std::size_t bytes_;
  char* base_ = nullptr;
  char* other_ = nullptr;
};

void expect_fault_at(const fault_seen& seen, const void* address) {
  EXPECT_EQ(seen.signal, SIGSEGV);
  EXPECT_EQ(seen.code, SEGV_MAPERR);
  EXPECT_EQ(seen.address, address);
}

/// Both kinds of memory, so far as this kernel guards them.
struct Guard : testing::TestWithParam<bool> {
  void SetUp() override {
    const guard_support can = platform::guards_supported();
    const guard_support wanted = GetParam() ? guard_support::objects_as_well : guard_support::private_memory;
    if (can < wanted) GTEST_SKIP() << "this kernel does not guard such memory (6.13: private; 6.15: shared)";
  }
};

TEST_P(Guard, FaultsAtTheVeryByteAndNowhereElse) {
  const pages_to_guard memory(GetParam());
  std::memset(memory.at(0), 'x', memory.bytes());
  ASSERT_FALSE(platform::guard(memory.at(3), 2 * page()).failed());
  for (char* const inside : {memory.at(3), memory.at(3) + 1, memory.at(4), memory.at(5) - 1}) {
    expect_fault_at(fault_of_load(inside), inside);
    expect_fault_at(fault_of_store(inside), inside);
  }
  EXPECT_EQ(fault_of_load(memory.at(3) - 1).signal, 0);
  EXPECT_EQ(fault_of_load(memory.at(5)).signal, 0);
  EXPECT_EQ(memory.at(3)[-1], 'x');
  EXPECT_EQ(memory.at(5)[0], 'x');
}

TEST_P(Guard, CostsNoMapping) {
  const pages_to_guard memory(GetParam(), 64);
  const std::size_t before = mappings_in(memory.at(0), memory.bytes());
  for (std::size_t i = 0; i < 64; i += 2) ASSERT_FALSE(platform::guard(memory.at(i), page()).failed());
  EXPECT_EQ(mappings_in(memory.at(0), memory.bytes()), before);
  expect_fault_at(fault_of_load(memory.at(62)), memory.at(62));
  EXPECT_EQ(fault_of_load(memory.at(63)).signal, 0);
}

TEST_P(Guard, OfUntouchedPagesOrGuardedOnesIsNoDifferent) {
  const pages_to_guard memory(GetParam());
  ASSERT_FALSE(platform::guard(memory.at(1), page()).failed());
  ASSERT_FALSE(platform::guard(memory.at(0), 3 * page()).failed());
  expect_fault_at(fault_of_store(memory.at(1)), memory.at(1));
  ASSERT_FALSE(platform::unguard(memory.at(0), memory.bytes()).failed()) << "pages without a guard among them";
  std::memset(memory.at(0), 'y', memory.bytes());
  EXPECT_EQ(memory.at(1)[0], 'y');
}

TEST_P(Guard, TakesTheContentsOfPrivateMemoryAlone) {
  const pages_to_guard memory(GetParam());
  std::memset(memory.at(0), 'x', memory.bytes());
  ASSERT_FALSE(platform::guard(memory.at(1), page()).failed());
  if (GetParam()) {
    EXPECT_EQ(memory.elsewhere(1)[0], 'x');
    memory.elsewhere(1)[0] = 'z';
  }
  ASSERT_FALSE(platform::unguard(memory.at(1), page()).failed());
  EXPECT_EQ(memory.at(1)[0], GetParam() ? 'z' : 0);
  EXPECT_EQ(memory.at(2)[0], 'x');
}

TEST_P(Guard, OutlastsGivingBackAndProtecting) {
  const pages_to_guard memory(GetParam());
  ASSERT_FALSE(platform::guard(memory.at(1), page()).failed());
  ASSERT_FALSE(platform::give_back(memory.at(0), memory.bytes()).failed());
  expect_fault_at(fault_of_load(memory.at(1)), memory.at(1));
  ASSERT_FALSE(platform::protect(memory.at(0), memory.bytes(), platform::access::read).failed());
  ASSERT_FALSE(platform::protect(memory.at(0), memory.bytes(), platform::access::read_write).failed());
  expect_fault_at(fault_of_load(memory.at(1)), memory.at(1));
  EXPECT_EQ(fault_of_load(memory.at(0)).signal, 0);
}

TEST_P(Guard, IsThereInAChildWhichMayTakeItAwayForItself) {
  const pages_to_guard memory(GetParam());
  ASSERT_FALSE(platform::guard(memory.at(1), page()).failed());
  EXPECT_EQ(in_child([&] {
              if (fault_of_load(memory.at(1)).address != memory.at(1)) return 1;
              if (platform::unguard(memory.at(1), page()).failed()) return 2;
              return fault_of_load(memory.at(1)).signal == 0 ? 0 : 3;
            }),
            0);
  expect_fault_at(fault_of_load(memory.at(1)), memory.at(1));
}

TEST_P(Guard, MakesSystemCallsAnswerEfault) {
  const pages_to_guard memory(GetParam());
  ASSERT_FALSE(platform::guard(memory.at(1), page()).failed());
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  // The bare call: a sanitizer's own would look at the bytes first.
  EXPECT_EQ(::syscall(SYS_write, ends[1], memory.at(1), 1), -1);
  EXPECT_EQ(errno, EFAULT);
  EXPECT_EQ(::syscall(SYS_write, ends[1], memory.at(0), 1), 1);
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST_P(Guard, IsRefusedOnLockedPagesAndTheyStayAsTheyAre) {
  const pages_to_guard memory(GetParam());
  std::memset(memory.at(0), 'x', memory.bytes());
  // Bare calls: those of the C library are ignored by sanitizers.
  if (::syscall(SYS_mlock, memory.at(0), page()) != 0) GTEST_SKIP() << "this process may not lock a page";
  const auto refused = platform::guard(memory.at(0), page());
  EXPECT_STREQ(refused.call, "madvise");
  EXPECT_EQ(refused.code, EINVAL);
  EXPECT_EQ(memory.at(0)[0], 'x');
  EXPECT_FALSE(platform::guard(memory.at(1), page()).failed()) << "the lock ends here";
  ASSERT_EQ(::syscall(SYS_munlock, memory.at(0), page()), 0);
  EXPECT_FALSE(platform::guard(memory.at(0), page()).failed());
}

INSTANTIATE_TEST_SUITE_P(Of, Guard, testing::Bool(),
                         [](const auto& kind) { return kind.param ? "Objects" : "PrivateMemory"; });

TEST(GuardSupport, IsTheSameWhereEverythingIsLocked) {
  if (strata::test::under_asan || strata::test::under_tsan) GTEST_SKIP() << "this sanitizer's munlock does nothing";
  const guard_support before = platform::guards_supported();
  constexpr int kMayNot = 77;
  const int answer = in_child([&] {
    if (::syscall(SYS_mlockall, MCL_FUTURE) != 0) return kMayNot;
    return platform::guards_supported() == before ? 0 : 1;
  });
  if (answer == kMayNot) GTEST_SKIP() << "this process may not lock what it maps";
  EXPECT_EQ(answer, 0);
}

TEST(GuardSupport, OfAKernelWithoutGuardsIsNoneAndEachCallSaysEinval) {
  const pages_to_guard memory(false);
  os_script script;
  script.fail_advice(MADV_GUARD_INSTALL, EINVAL);
  script.fail_advice(MADV_GUARD_REMOVE, EINVAL);
  EXPECT_EQ(platform::guards_supported(), guard_support::none);
  EXPECT_EQ(platform::guard(memory.at(0), page()).code, EINVAL);
  EXPECT_EQ(platform::unguard(memory.at(0), page()).code, EINVAL);
  EXPECT_EQ(fault_of_store(memory.at(0)).signal, 0);
  EXPECT_EQ(script.mapped_bytes(), 0U);
}

TEST(GuardSupport, OfAKernelThatGuardsPrivateMemoryAloneIsToldApart) {
  if (platform::guards_supported() == guard_support::none) GTEST_SKIP() << "this kernel has no guards (before 6.13)";
  os_script script;
  script.fail(os_call::madvise, 2, EINVAL);  // that of the shared page,
  script.fail(os_call::madvise, 3, EINVAL);  // and once more, should it be locked
  EXPECT_EQ(platform::guards_supported(), guard_support::private_memory);
  EXPECT_EQ(script.calls(os_call::madvise), 3U);
}

TEST(GuardSupport, IsNoneWhenNoPageCanBeHad) {
  os_script script;
  script.fail_always(os_call::mmap, ENOMEM);
  EXPECT_EQ(platform::guards_supported(), guard_support::none);
  script.fail_always(os_call::mmap, 0);
  // A page that is locked, and stays so.
  script.fail_always(os_call::madvise, EINVAL);
  script.fail_always(os_call::munlock, EPERM);
  EXPECT_EQ(platform::guards_supported(), guard_support::none);
  EXPECT_EQ(script.mapped_bytes(), 0U);
}

TEST(GuardSupport, EveryRefusalOfACallIsToldAndInterruptedOnesAreRepeated) {
  const pages_to_guard memory(false);
  for (const int code : {ENOMEM, EINVAL, EPERM}) {
    os_script script;
    script.fail(os_call::madvise, 1, code);
    const auto refused = platform::guard(memory.at(0), page());
    EXPECT_STREQ(refused.call, "madvise");
    EXPECT_EQ(refused.code, code);
    script.fail(os_call::madvise, 1, code);
    EXPECT_EQ(platform::unguard(memory.at(0), page()).code, code);
    EXPECT_EQ(script.calls(os_call::madvise), 2U) << "not repeated";
  }
  for (const int code : {EINTR, EAGAIN}) {
    os_script script;
    script.fail(os_call::madvise, 1, code);
    script.fail(os_call::madvise, 2, code);
    script.fail(os_call::madvise, 3, ENOMEM);
    EXPECT_EQ(platform::guard(memory.at(0), page()).code, ENOMEM);
    EXPECT_EQ(script.calls(os_call::madvise), 3U);
    script.fail_always(os_call::madvise, code);
    EXPECT_EQ(platform::guard(memory.at(0), page()).code, code) << "a call that never ends would be worse";
  }
}

}  // namespace
