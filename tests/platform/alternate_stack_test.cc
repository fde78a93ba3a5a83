// SPDX-License-Identifier: Apache-2.0
// Claims: a thread has the stack as long as the object lives, and then what it had before; it is large enough; below its
// end it faults, whatever the kernel can do; one that is no longer the thread's is left alone; refused by the OS, nothing
// has changed and nothing is left. (That handlers run on it when the ordinary one is used up: fault_test.)
#include <gtest/gtest.h>

#include <cerrno>
#include <csignal>
#include <cstddef>
#include <thread>

#include "tests/os_script/os_script.h"
#include "tests/platform/faults.h"

import strata.platform;

namespace {

namespace platform = strata::platform;
using strata::test::os_call;
using strata::test::os_script;

stack_t stack_now() {
  stack_t now{};
  EXPECT_EQ(::sigaltstack(nullptr, &now), 0);
  return now;
}

TEST(AlternateStack, GivesWayToWhatWasThereAndLeavesNothing) {
  std::thread([] {
    const stack_t before = stack_now();
    {
      os_script script;
      {
        const platform::alternate_stack outer(1);
        ASSERT_FALSE(outer.error().failed());
        EXPECT_GE(outer.bytes(), static_cast<std::size_t>(MINSIGSTKSZ)) << "no less than a handler takes";
        {
          const platform::alternate_stack inner;
          ASSERT_FALSE(inner.error().failed());
          EXPECT_TRUE(inner.holds(stack_now().ss_sp));
          EXPECT_FALSE(outer.holds(stack_now().ss_sp));
        }
        EXPECT_TRUE(outer.holds(stack_now().ss_sp));
        EXPECT_EQ(stack_now().ss_size, outer.bytes());
      }
      EXPECT_EQ(script.mapped_bytes(), 0U);
    }
    EXPECT_EQ(stack_now().ss_flags, before.ss_flags);
    EXPECT_EQ(stack_now().ss_sp, before.ss_sp);
  }).join();
}

TEST(AlternateStack, FaultsBelowItsEnd) {
  const platform::alternate_stack stack;
  ASSERT_FALSE(stack.error().failed());
  auto* const end = static_cast<char*>(stack_now().ss_sp);
  EXPECT_EQ(strata::test::fault_of_store(end).signal, 0);
  EXPECT_EQ(strata::test::fault_of_store(end - 1).address, end - 1);
}

TEST(AlternateStack, FaultsBelowItsEndWithoutGuardsOfTheKernelToo) {
  os_script script;
  script.fail_always(os_call::madvise, EINVAL);
  const platform::alternate_stack stack;
  ASSERT_FALSE(stack.error().failed());
  EXPECT_EQ(script.calls(os_call::mprotect), 1U);
  auto* const end = static_cast<char*>(stack_now().ss_sp);
  EXPECT_EQ(strata::test::fault_of_store(end - 1).address, end - 1);
}

TEST(AlternateStack, EveryRefusalIsToldAndLeavesNothing) {
  const stack_t before = stack_now();
  for (const os_call call : {os_call::mmap, os_call::mprotect, os_call::sigaltstack}) {
    os_script script;
    script.fail_always(os_call::madvise, EINVAL);
    script.fail(call, 1, ENOMEM);
    {
      const platform::alternate_stack stack;
      EXPECT_EQ(stack.error().code, ENOMEM);
      EXPECT_EQ(stack.bytes(), 0U);
      EXPECT_FALSE(stack.holds(&before));
    }
    EXPECT_EQ(script.mapped_bytes(), 0U);
    EXPECT_EQ(stack_now().ss_sp, before.ss_sp);
  }
}

TEST(AlternateStack, ThatIsNoLongerTheThreadsIsLeftAlone) {
  static char own[1 << 16];
  std::thread([] {
    const stack_t before = stack_now();
    {
      const platform::alternate_stack stack;
      ASSERT_FALSE(stack.error().failed());
      stack_t mine{};
      mine.ss_sp = own;
      mine.ss_size = sizeof own;
      ASSERT_EQ(::sigaltstack(&mine, nullptr), 0);
    }
    EXPECT_EQ(stack_now().ss_sp, own);
    ASSERT_EQ(::sigaltstack(&before, nullptr), 0);
  }).join();
}

}  // namespace
