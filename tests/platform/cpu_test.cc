// SPDX-License-Identifier: Apache-2.0
// Claims:
//  * the number of processors follows the thread's affinity and is never 0, whatever fails
//  * the quota is the smallest of the group and its ancestors, in version 1 and 2; never 0, never more than the
//  processors give
#include <gtest/gtest.h>
#include <sched.h>

#include <cerrno>
#include <string>
#include <thread>

#include "tests/os_script/os_script.h"
#include "tests/platform/fake_tree.h"

import strata.platform;

namespace {

using strata::platform::cpus;
using strata::test::os_call;
using strata::test::os_script;

TEST(Cpu, AreAsManyAsTheAffinityOfTheThread) {
  std::thread([] {
    cpu_set_t all;
    ASSERT_EQ(::sched_getaffinity(0, sizeof all, &all), 0);
    EXPECT_EQ(cpus().usable, static_cast<std::size_t>(CPU_COUNT(&all)));
    int first = 0;
    while (!CPU_ISSET(first, &all)) ++first;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(first, &one);
    ASSERT_EQ(::sched_setaffinity(0, sizeof one, &one), 0);
    EXPECT_EQ(cpus().usable, 1U);
    EXPECT_LE(cpus().quota_permille, 1000U);
  }).join();
}

TEST(Cpu, AreNeverNone) {
  os_script script;
  script.fail_always(os_call::sched_getaffinity, EINVAL);
  EXPECT_GE(cpus().usable, 1U);
  EXPECT_EQ(script.calls(os_call::sysconf), 1U);
  script.fail_always(os_call::sysconf, EINVAL);
  EXPECT_EQ(cpus().usable, 1U);
  EXPECT_GE(cpus().quota_permille, 1U);
}

class CpuQuota : public strata::test::fake_tree {
 protected:
  void version_2() {
    write("/proc/self/cgroup", "0::/a/b\n");
    write("/proc/self/mountinfo", "30 24 0:26 / /c rw - cgroup2 cgroup2 rw\n");
  }
  void version_1() {
    write("/proc/self/cgroup", "2:cpu,cpuacct:/a\n");
    write("/proc/self/mountinfo", "30 24 0:26 / /c rw - cgroup cgroup rw,cpu,cpuacct\n");
  }
  std::size_t quota() const { return cpus(root()).quota_permille; }
  std::size_t none() const { return cpus(root()).usable * 1000; }
};

TEST_F(CpuQuota, IsAllThereIsWhereNothingLimits) {
  EXPECT_EQ(quota(), none());
  version_2();
  EXPECT_EQ(quota(), none());
  write("/c/a/b/cpu.max", "max 100000\n");
  EXPECT_EQ(quota(), none());
  version_1();
  write("/c/a/cpu.cfs_quota_us", "-1\n");
  write("/c/a/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(quota(), none());
}

TEST_F(CpuQuota, IsTheSmallestOfAllLevels) {
  version_2();
  write("/c/a/b/cpu.max", "50000 100000\n");
  EXPECT_EQ(quota(), 500U);
  write("/c/a/cpu.max", "10000 50000\n");
  EXPECT_EQ(quota(), 200U);
  write("/c/a/b/cpu.max", "max 100000\n");
  EXPECT_EQ(quota(), 200U);
  write("/c/a/cpu.max", "100000000 100000\n");
  EXPECT_EQ(quota(), none());
}

TEST_F(CpuQuota, IsReadInVersion1) {
  version_1();
  write("/c/a/cpu.cfs_quota_us", "25000\n");
  EXPECT_EQ(quota(), none()) << "without a period there is no rate";
  write("/c/a/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(quota(), 250U);
}

TEST_F(CpuQuota, IsNeverNothing) {
  version_2();
  write("/c/a/b/cpu.max", "0 100000\n");
  EXPECT_EQ(quota(), 1U);
}

TEST_F(CpuQuota, IsNotTakenFromAFileThatMakesNoSense) {
  version_2();
  for (const char* text : {"", "\n", "50000", "50000 0", "max", "-1 100000", "half 100000", "50000 100000 x",
                           "99999999999999999999 100000", "18446744073709551615 1"}) {
    write("/c/a/b/cpu.max", text);
    EXPECT_EQ(quota(), none()) << text;
  }
}

}  // namespace
