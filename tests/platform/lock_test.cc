// SPDX-License-Identifier: Apache-2.0
// Claims: what is locked is resident and counted by the OS, and no longer when it is unlocked or unmapped; a lock that
// is refused, with any errno, leaves nothing locked; the limit is what the OS allows, none for the privileged; a child
// inherits no lock, and finds zeros, or nothing, where that was asked; every call can fail.
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cinttypes>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include "tests/os_script/os_script.h"
#include "tests/platform/fake_tree.h"
#include "tests/support/sanitizer.h"

import strata.platform;

namespace {

namespace platform = strata::platform;
using platform::exposure;
using platform::lock_time;
using strata::test::os_call;
using strata::test::os_script;

constexpr std::size_t kPages = 4;

struct Lock : testing::Test {
  std::size_t bytes = kPages * platform::page_size();
  char* base = static_cast<char*>(platform::map(bytes, platform::page_size()).base);
  std::uint64_t before = platform::locks().locked;

  void SetUp() override {
    ASSERT_NE(base, nullptr);
    // Their runtimes answer mlock themselves, and lock nothing.
    if (strata::test::under_asan || strata::test::under_tsan) GTEST_SKIP() << "sanitizers ignore locks";
  }
  ~Lock() override {
    if (base != nullptr) EXPECT_FALSE(platform::unmap(base, bytes).failed());
  }
  [[nodiscard]] std::uint64_t locked() const { return platform::locks().locked - before; }
  [[nodiscard]] std::size_t resident() const {
    std::vector<unsigned char> in(kPages);
    EXPECT_EQ(::mincore(base, bytes, in.data()), 0);
    std::size_t count = 0;
    for (const unsigned char page : in) count += page & 1U;
    return count;
  }
};

TEST_F(Lock, MakesPagesResidentAndIsCounted) {
  ASSERT_FALSE(platform::lock(base, bytes, lock_time::now).failed());
  EXPECT_EQ(locked(), bytes);
  EXPECT_EQ(resident(), kPages);
  ASSERT_FALSE(platform::unlock(base, bytes).failed());
  EXPECT_EQ(locked(), 0U);
}

TEST_F(Lock, OnTouchTakesPagesAsTheyAppear) {
  ASSERT_FALSE(platform::lock(base, bytes, lock_time::on_touch).failed());
  EXPECT_EQ(locked(), bytes);
  EXPECT_EQ(resident(), 0U);
  base[0] = 1;
  EXPECT_EQ(resident(), 1U);
}

TEST_F(Lock, EndsWithTheMapping) {
  ASSERT_FALSE(platform::lock(base, bytes, lock_time::now).failed());
  ASSERT_FALSE(platform::unmap(base, bytes).failed());
  base = nullptr;
  EXPECT_EQ(locked(), 0U);
}

TEST_F(Lock, DoesNotNest) {
  ASSERT_FALSE(platform::lock(base, bytes, lock_time::now).failed());
  ASSERT_FALSE(platform::lock(base, bytes, lock_time::now).failed());
  EXPECT_EQ(locked(), bytes);
  ASSERT_FALSE(platform::unlock(base, bytes).failed());
  EXPECT_EQ(locked(), 0U);
}

TEST_F(Lock, ThatIsRefusedLocksNothing) {
  for (const int code : {ENOMEM, EPERM, EAGAIN}) {
    os_script script;
    script.fail(os_call::mlock, 1, code);
    const platform::os_error refused = platform::lock(base, bytes, lock_time::now);
    EXPECT_EQ(refused.code, code);
    EXPECT_STREQ(refused.call, "mlock");
    EXPECT_EQ(locked(), 0U);
    script.fail(os_call::mlock2, 1, code);
    EXPECT_STREQ(platform::lock(base, bytes, lock_time::on_touch).call, "mlock2");
    EXPECT_EQ(locked(), 0U);
    script.fail(os_call::munlock, 1, code);
    EXPECT_EQ(platform::unlock(base, bytes).code, code);
  }
}

// In a child without privilege: the kernel's own answers.
TEST_F(Lock, OfMoreThanTheLimitIsRefusedByTheKernel) {
  const pid_t child = ::fork();
  if (child == 0) {
    const rlimit one_page{platform::page_size(), platform::page_size()};
    if (::setrlimit(RLIMIT_MEMLOCK, &one_page) != 0) ::_exit(2);
    __user_cap_header_struct whose{_LINUX_CAPABILITY_VERSION_3, 0};
    __user_cap_data_struct no_capability[2] = {};
    if (::syscall(SYS_capset, &whose, no_capability) != 0) ::_exit(3);
    if (platform::locks().limit != platform::page_size()) ::_exit(4);
    if (platform::lock(base, bytes, lock_time::now).code != ENOMEM) ::_exit(5);
    if (platform::locks().locked != 0) ::_exit(6);
    if (platform::lock(base, platform::page_size(), lock_time::now).failed()) ::_exit(7);
    const rlimit none{0, 0};
    if (::setrlimit(RLIMIT_MEMLOCK, &none) != 0) ::_exit(8);
    ::_exit(platform::lock(base + platform::page_size(), platform::page_size(), lock_time::now).code == EPERM ? 0 : 9);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST_F(Lock, IsNotInherited) {
  ASSERT_FALSE(platform::lock(base, bytes, lock_time::now).failed());
  const pid_t child = ::fork();
  if (child == 0) ::_exit(platform::locks().locked == 0 ? 0 : 1);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 0);
  EXPECT_EQ(locked(), bytes);
}

struct Exposure : testing::Test {
  std::size_t bytes = kPages * platform::page_size();
  char* base = static_cast<char*>(platform::map(bytes, platform::page_size()).base);
  Exposure() { std::memset(base, 7, bytes); }
  ~Exposure() override { EXPECT_FALSE(platform::unmap(base, bytes).failed()); }

  // What a child finds in the first byte; -1 when it dies of looking.
  [[nodiscard]] int in_a_child() const {
    const pid_t child = ::fork();
    if (child == 0) {
      ::signal(SIGSEGV, SIG_DFL);
      ::_exit(static_cast<volatile char*>(base)[0]);
    }
    int status = 0;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
};

TEST_F(Exposure, DecidesWhatAChildFinds) {
  EXPECT_EQ(in_a_child(), 7);
  ASSERT_FALSE(platform::expose(base, bytes, exposure::zero_in_child).failed());
  EXPECT_EQ(in_a_child(), 0);
  ASSERT_FALSE(platform::expose(base, bytes, exposure::inherited).failed());
  EXPECT_EQ(in_a_child(), 7);
  ASSERT_FALSE(platform::expose(base, bytes, exposure::not_in_child).failed());
  EXPECT_EQ(in_a_child(), -1);
  ASSERT_FALSE(platform::expose(base, bytes, exposure::inherited).failed());
  EXPECT_EQ(in_a_child(), 7);
}

// The kernel's own word: VmFlags has "dd" for what is left out of dumps. What lies beside it in the same way is one mapping
// with it: so it is looked for by an address in it.
bool is_dumped(const void* p) {
  std::ifstream maps("/proc/self/smaps");
  const auto wanted = reinterpret_cast<std::uintptr_t>(p);
  bool here = false;
  for (std::string line; std::getline(maps, line);) {
    std::uintptr_t first = 0;
    std::uintptr_t last = 0;
    if (std::sscanf(line.c_str(), "%" SCNxPTR "-%" SCNxPTR " ", &first, &last) == 2) {
      here = first <= wanted && wanted < last;
    }
    if (here && line.starts_with("VmFlags:")) return line.find(" dd") == std::string::npos;
  }
  ADD_FAILURE() << "no such mapping";
  return true;
}

TEST_F(Exposure, DecidesWhatIsDumped) {
  ASSERT_FALSE(platform::expose(base, bytes, exposure::not_dumped).failed());
  EXPECT_FALSE(is_dumped(base));
  ASSERT_FALSE(platform::expose(base, bytes, exposure::dumped).failed());
  EXPECT_TRUE(is_dumped(base));
}

TEST_F(Exposure, ThatIsRefusedSaysSo) {
  for (const exposure how :
       {exposure::dumped, exposure::not_dumped, exposure::inherited, exposure::zero_in_child, exposure::not_in_child}) {
    os_script script;
    script.fail(os_call::madvise, 1, ENOMEM);
    EXPECT_EQ(platform::expose(base, bytes, how).code, ENOMEM);
  }
}

using LockTree = strata::test::fake_tree;

TEST_F(LockTree, TheKernelsCountIsRead) {
  write("/proc/self/status", "Name:\tx\nVmLck:\t      64 kB\nVmPin:\t       0 kB\nCapEff:\t0000000000000000\n");
  EXPECT_EQ(platform::locks(root()).locked, 65536U);
}

TEST_F(LockTree, NoLimitHoldsForThePrivileged) {
  write("/proc/self/status", "CapEff:\t0000000000004000\n");
  write("/proc/self/uid_map", "         0          0 4294967295\n");
  EXPECT_EQ(platform::locks(root()).limit, platform::lock_status::unlimited);
  EXPECT_EQ(platform::locks(root()).locked, 0U);
}

TEST_F(LockTree, RootOfAUserNamespaceIsNotPrivileged) {
  write("/proc/self/status", "CapEff:\t000001ffffffffff\n");
  rlimit allowed{};
  ASSERT_EQ(::getrlimit(RLIMIT_MEMLOCK, &allowed), 0);
  const rlimit before = allowed;
  allowed.rlim_cur = 4096;
  ASSERT_EQ(::setrlimit(RLIMIT_MEMLOCK, &allowed), 0);
  for (const char* map : {"0 1000 1\n", "0 100000 65536\n", ""}) {
    write("/proc/self/uid_map", map);
    EXPECT_EQ(platform::locks(root()).limit, 4096U) << map;
  }
  ASSERT_EQ(::setrlimit(RLIMIT_MEMLOCK, &before), 0);
}

TEST_F(LockTree, OthersHaveTheLimitOfTheProcess) {
  write("/proc/self/status", "CapEff:\t000001ffffffbfff\n");
  rlimit allowed{};
  ASSERT_EQ(::getrlimit(RLIMIT_MEMLOCK, &allowed), 0);
  const std::uint64_t expected =
      allowed.rlim_cur == RLIM_INFINITY ? platform::lock_status::unlimited : allowed.rlim_cur;
  EXPECT_EQ(platform::locks(root()).limit, expected);
}

TEST_F(LockTree, WhatIsGarbledIsNotBelieved) {
  for (const char* text :
       {"", "VmLck:\n", "VmLck:\tmany kB\n", "VmLck:\t64 MB\n", "VmLck:\t99999999999999999999 kB\n"}) {
    write("/proc/self/status", text);
    EXPECT_EQ(platform::locks(root()).locked, 0U) << text;
  }
}

}  // namespace
