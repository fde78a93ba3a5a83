// SPDX-License-Identifier: Apache-2.0
// Claims: a range is inaccessible by marks, or, where the kernel has none for it, by protection; lifted it is accessible;
// protection is within the budget of mappings, which is the process's, and what is refused claims nothing; locked memory
// is refused, not protected, unless whoever guards it made it.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>

#include "tests/os_script/os_script.h"
#include "tests/platform/faults.h"

import strata.mem;

namespace strata::mem {
namespace {

using means = page_guards::means;
using test::fault_of_load;
using test::fault_of_store;
using test::os_call;
using test::os_script;

constexpr int install = 102;  // MADV_GUARD_INSTALL

struct PageGuards : testing::Test {
  PageGuards() : got(map_run(8 * page, page, {})), base(static_cast<char*>(got.run.base)) { EXPECT_NE(base, nullptr); }
  ~PageGuards() override {
    EXPECT_FALSE(unmap_run(got.run).failed());
    EXPECT_EQ(page_guards::mappings_claimed(), 0U);
  }
  char* at(std::size_t i) const { return base + i * page; }

  std::size_t page = page_bytes();
  page_run_result got;
  char* base;
};

TEST_F(PageGuards, MarkWhatTheKernelCanMark) {
  page_guards guards(0);
  if (guards.costs_mappings())
    GTEST_SKIP() << "this kernel has no marks (before 6.13), or AddressSanitizer cannot stand them";
  os_script script;
  EXPECT_EQ(guards.set(at(1), 2 * page).by, means::marks);
  EXPECT_EQ(script.calls(os_call::mprotect), 0U);
  EXPECT_TRUE(guards.has_room_for(1'000'000));
  EXPECT_EQ(fault_of_store(at(1)).address, at(1));
  EXPECT_EQ(fault_of_store(at(3)).signal, 0);
  EXPECT_FALSE(guards.lift(at(0), 8 * page, true, 0).failed());
  EXPECT_EQ(fault_of_store(at(1)).signal, 0);
}

TEST_F(PageGuards, ProtectWithinTheBudgetWhereTheKernelHasNoMarks) {
  os_script script;
  script.fail_advice(install, EINVAL);
  page_guards guards(5);
  EXPECT_TRUE(guards.costs_mappings());
  EXPECT_EQ(guards.mapping_budget(), 5U);
  EXPECT_TRUE(guards.has_room_for(2));
  EXPECT_FALSE(guards.has_room_for(3));
  EXPECT_EQ(guards.set(at(1), page).by, means::protection);
  EXPECT_EQ(guards.set(at(3), page).by, means::protection);
  EXPECT_EQ(page_guards::mappings_claimed(), 4U);
  const page_guards::outcome third = guards.set(at(5), page);
  EXPECT_EQ(third.by, means::none);
  EXPECT_FALSE(third.error.failed()) << "nobody's refusal but the budget's";
  EXPECT_EQ(fault_of_load(at(1)).address, at(1));
  EXPECT_EQ(fault_of_load(at(3)).address, at(3));
  EXPECT_EQ(fault_of_load(at(5)).signal, 0);
  page_guards others(6);
  EXPECT_TRUE(others.has_room_for(1)) << "one budget may be larger,";
  EXPECT_FALSE(others.has_room_for(2)) << "but what is claimed is claimed";
  EXPECT_FALSE(guards.lift(at(0), 8 * page, false, 2).failed());
  EXPECT_EQ(fault_of_load(at(1)).signal, 0);
  EXPECT_EQ(fault_of_load(at(3)).signal, 0);
}

TEST_F(PageGuards, HaveAQuarterOfTheProcesssMappingsUnlessTold) {
  os_script script;
  script.fail_always(os_call::open, EACCES);
  EXPECT_EQ(page_guards(0).mapping_budget(), 65530U / 4);
}

TEST_F(PageGuards, ThatAreRefusedClaimNothing) {
  os_script script;
  script.fail_advice(install, EINVAL);
  page_guards guards(100);
  script.fail(os_call::mprotect, 1, ENOMEM);
  const page_guards::outcome refused = guards.set(at(1), page);
  EXPECT_EQ(refused.by, means::none);
  EXPECT_EQ(refused.error.code, ENOMEM);
  EXPECT_STREQ(refused.error.call, "mprotect");
  EXPECT_EQ(page_guards::mappings_claimed(), 0U);
  EXPECT_EQ(guards.set(at(1), page).by, means::protection);
  script.fail(os_call::mprotect, 1, ENOMEM);
  EXPECT_EQ(guards.lift(at(0), 8 * page, false, 1).code, ENOMEM);
  EXPECT_EQ(page_guards::mappings_claimed(), 2U) << "still guarded";
  EXPECT_FALSE(guards.lift(at(0), 8 * page, false, 1).failed());
}

TEST_F(PageGuards, ProtectSharedMemoryWhereTheKernelMarksPrivateMemoryAlone) {
  if (page_guards(0).costs_mappings())
    GTEST_SKIP() << "this kernel has no marks (before 6.13), or AddressSanitizer cannot stand them";
  os_script script;
  script.fail(os_call::madvise, 2, EINVAL);  // what such a kernel says of a shared page,
  script.fail(os_call::madvise, 3, EINVAL);  // and again, should it be locked
  page_guards guards(100);
  script.fail(os_call::madvise, 1, EINVAL);  // of this memory too
  EXPECT_EQ(guards.set(at(1), page).by, means::protection);
  EXPECT_EQ(guards.set(at(3), page).by, means::marks);
  EXPECT_FALSE(guards.lift(at(0), 8 * page, true, 1).failed());
  EXPECT_EQ(fault_of_load(at(1)).signal, 0);
  EXPECT_EQ(fault_of_load(at(3)).signal, 0);
}

TEST_F(PageGuards, ProtectWhatTheGuardingMechanismMadeWhateverTheKernelSaysOfIt) {
  page_guards guards(100, guard_ground::own);
  if (guards.costs_mappings()) GTEST_SKIP() << "this kernel has no marks for shared memory (before 6.15)";
  os_script script;
  script.fail(os_call::madvise, 1, EINVAL);  // as if the whole process were locked
  script.fail(os_call::madvise, 2, ENOMEM);
  EXPECT_EQ(guards.set(at(1), page).by, means::protection);
  EXPECT_EQ(guards.set(at(3), page).by, means::protection);
  EXPECT_EQ(guards.set(at(5), page).by, means::marks) << "with AddressSanitizer too: these pages are nobody's roots";
  EXPECT_EQ(page_guards::mappings_claimed(), 2 * page_guards::mappings_each);
  EXPECT_EQ(fault_of_store(at(3)).address, at(3));
  page_guards::forget(1);
  EXPECT_EQ(page_guards::mappings_claimed(), page_guards::mappings_each);
  EXPECT_FALSE(guards.lift(at(0), 8 * page, true, 1).failed());
}

TEST_F(PageGuards, LeaveLockedMemoryAlone) {
  page_guards guards(100);
  if (guards.costs_mappings())
    GTEST_SKIP() << "this kernel has no marks (before 6.13), or AddressSanitizer cannot stand them";
  // The bare call: sanitizers ignore the library's.
  if (::syscall(SYS_mlock, at(1), page) != 0) GTEST_SKIP() << "this process may not lock a page";
  const page_guards::outcome refused = guards.set(at(1), page);
  EXPECT_EQ(refused.by, means::none);
  EXPECT_EQ(refused.error.code, EINVAL);
  EXPECT_EQ(fault_of_load(at(1)).signal, 0);
}

}  // namespace
}  // namespace strata::mem
