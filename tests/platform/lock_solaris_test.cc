// SPDX-License-Identifier: Apache-2.0
// Claims, on Solaris: without the privilege nothing may be locked, whatever the size; with it, as much as the resource
// control says; a lock that is refused leaves nothing locked; locks do not nest and end with the mapping; what the system
// cannot do is refused and says so; a child finds zeros where that was asked.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <string>

#include "tests/fakes/solaris/machine.h"

import strata.platform;

namespace {

namespace platform = strata::platform;
using platform::exposure;
using platform::lock_time;
using strata::fake_solaris::fresh_machine;
using strata::fake_solaris::locked_bytes;

struct LockSolaris : testing::Test {
  fresh_machine machine;
  std::size_t bytes = 4 * platform::page_size();
  char* base = static_cast<char*>(platform::map(bytes, platform::page_size()).base);

  LockSolaris() { machine->may_lock = true; }
  ~LockSolaris() override {
    if (base != nullptr) EXPECT_FALSE(platform::unmap(base, bytes).failed());
    EXPECT_EQ(locked_bytes(), 0U);
  }
};

TEST_F(LockSolaris, NeedsThePrivilegeForAnySize) {
  machine->may_lock = false;
  EXPECT_EQ(platform::locks().limit, 0U);
  const auto refused = platform::lock(base, platform::page_size(), lock_time::now);
  EXPECT_STREQ(refused.call, "mlock");
  EXPECT_EQ(refused.code, EPERM);
  EXPECT_EQ(platform::unlock(base, bytes).code, EPERM);
  EXPECT_NE(std::string(platform::lock_remedy()).find("proc_lock_memory"), std::string::npos);
}

TEST_F(LockSolaris, IsBoundedByTheResourceControl) {
  EXPECT_EQ(platform::locks().limit, platform::lock_status::unlimited);
  machine->max_locked = bytes - platform::page_size();
  EXPECT_EQ(platform::locks().limit, bytes - platform::page_size());
  EXPECT_EQ(platform::lock(base, bytes, lock_time::now).code, EAGAIN);
  EXPECT_EQ(locked_bytes(), 0U) << "all or nothing";
  EXPECT_FALSE(platform::lock(base, bytes - platform::page_size(), lock_time::now).failed());
  EXPECT_EQ(locked_bytes(), bytes - platform::page_size());
}

TEST_F(LockSolaris, DoesNotNestAndEndsWithTheMapping) {
  ASSERT_FALSE(platform::lock(base, bytes, lock_time::now).failed());
  ASSERT_FALSE(platform::lock(base, bytes, lock_time::now).failed());
  EXPECT_EQ(locked_bytes(), bytes);
  ASSERT_FALSE(platform::unlock(base, bytes).failed());
  EXPECT_EQ(locked_bytes(), 0U);
  ASSERT_FALSE(platform::lock(base, bytes, lock_time::now).failed());
  ASSERT_FALSE(platform::unmap(base, bytes).failed());
  base = nullptr;
  EXPECT_EQ(locked_bytes(), 0U);
}

TEST_F(LockSolaris, EachCallMayFail) {
  for (const int code : {EAGAIN, EINVAL, ENOMEM, ENOSYS, EPERM}) {
    machine.fail("mlock", 1, code);
    EXPECT_EQ(platform::lock(base, bytes, lock_time::now).code, code);
    EXPECT_EQ(locked_bytes(), 0U);
    machine.fail("munlock", 1, code);
    EXPECT_EQ(platform::unlock(base, bytes).code, code);
    machine.fail("memcntl", 1, code);
    EXPECT_EQ(platform::expose(base, bytes, exposure::zero_in_child).code, code);
  }
}

TEST_F(LockSolaris, WhatTheSystemCannotDoIsRefused) {
  EXPECT_EQ(platform::lock(base, bytes, lock_time::on_touch).code, ENOSYS);
  for (const exposure how : {exposure::not_dumped, exposure::not_in_child, exposure::inherited})
    EXPECT_EQ(platform::expose(base, bytes, how).code, ENOSYS);
  EXPECT_FALSE(platform::expose(base, bytes, exposure::dumped).failed());
}

TEST_F(LockSolaris, AChildFindsZerosWhereThatWasAsked) {
  std::memset(base, 7, bytes);
  ASSERT_FALSE(platform::expose(base, bytes, exposure::zero_in_child).failed());
  const pid_t child = ::fork();
  if (child == 0) ::_exit(base[0]);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 0);
  EXPECT_EQ(base[0], 7);
}

}  // namespace
