// SPDX-License-Identifier: Apache-2.0
// Claims: every figure is the one of the OS's own files, of this machine and of machines made up: memory, the limit and
// the file that sets it, locks, page sizes, pools, policies, tmpfs, ZFS's cache; identities hold on this machine; what
// the OS does not tell is left out, and no failing call is an error.
#include <gtest/gtest.h>

#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>

#include "tests/os_script/os_script.h"
#include "tests/platform/fake_tree.h"

import strata.platform;

namespace {

namespace platform = strata::platform;
using platform::fact;
using platform::fact_unit;

struct told {
  std::uint64_t number;
  std::string text;
};
using telling = std::map<std::string, told>;

telling listen(const char* root = "") {
  telling all;
  platform::facts(
      [&](const fact& f) {
        all[std::string(f.group) + ": " + std::string(f.name)] = {f.number, std::string(f.text)};
        EXPECT_EQ(f.unit == fact_unit::text, !f.text.empty()) << f.group << ' ' << f.name;
      },
      root);
  return all;
}

constexpr std::uint64_t kGiB = std::uint64_t{1} << 30;

struct FactsTree : strata::test::fake_tree {
  [[nodiscard]] telling all() const { return listen(root()); }
  void plain() const {
    write("/proc/meminfo", "MemTotal: 8388608 kB\nMemFree: 1048576 kB\nMemAvailable: 2097152 kB\nMlocked: 64 kB\n");
  }
};

TEST_F(FactsTree, MemoryAndItsLimit) {
  plain();
  telling now = all();
  EXPECT_EQ(now["memory: managed"].number, 8 * kGiB);
  EXPECT_EQ(now["memory: available"].number, 2 * kGiB);
  EXPECT_EQ(now["limit: hard"].number, 8 * kGiB);
  EXPECT_EQ(now["limit: set by"].text, "the machine: no group sets a lower one");
  EXPECT_EQ(now["locked: machine"].number, 65536U);
  EXPECT_FALSE(now.contains("cache: arc size"));

  write("/proc/self/cgroup", "0::/box\n");
  write("/proc/self/mountinfo", std::string("30 20 0:26 / /v2 rw - cgroup2 cgroup2 rw\n"));
  write("/v2/box/memory.max", "3221225472\n");
  write("/v2/box/memory.current", "1000\n");
  now = all();
  EXPECT_EQ(now["limit: hard"].number, 3 * kGiB);
  EXPECT_TRUE(now["limit: set by"].text.ends_with("/v2/box/memory.max")) << now["limit: set by"].text;
}

TEST_F(FactsTree, AnotherCache) {
  plain();
  write("/proc/spl/kstat/zfs/arcstats", "size 4 1000000\nc_min 4 500000\nc_max 4 7498616832\n");
  telling now = all();
  EXPECT_EQ(now["cache: arc size"].number, 1'000'000U);
  EXPECT_EQ(now["cache: arc minimum"].number, 500'000U);
  EXPECT_EQ(now["cache: arc maximum"].number, 7'498'616'832U);
}

TEST_F(FactsTree, PagesAndPools) {
  write("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "12\n");
  write("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "7\n");
  write("/sys/kernel/mm/hugepages/hugepages-2048kB/resv_hugepages", "3\n");
  directory("/sys/kernel/mm/hugepages/hugepages-1048576kB");
  write("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size", "2097152\n");
  telling now = all();
  EXPECT_EQ(now["pages: base"].number, platform::page_size());
  EXPECT_EQ(now["pages: large"].number, std::uint64_t{2} << 20);
  EXPECT_EQ(now["pages: 1048576 kB"].number, kGiB);
  EXPECT_EQ(now["pools: 2048 kB pages"].number, 12U);
  EXPECT_EQ(now["pools: 2048 kB free"].number, 7U);
  EXPECT_EQ(now["pools: 2048 kB promised"].number, 3U);
  EXPECT_FALSE(now.contains("pools: 1048576 kB pages")) << "a directory without files tells nothing";
}

TEST_F(FactsTree, Policies) {
  write("/sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n");
  write("/sys/kernel/mm/transparent_hugepage/defrag", "always defer\n");
  write("/proc/sys/vm/overcommit_memory", "2\n");
  telling now = all();
  EXPECT_EQ(now["policy: transparent large pages"].text, "madvise");
  EXPECT_FALSE(now.contains("policy: large pages at first touch"));
  EXPECT_EQ(now["policy: overcommit"].number, 2U);
}

TEST_F(FactsTree, SharedSegments) {
  write("/proc/sys/kernel/shmmax", "18446744073692774399\n");
  write("/proc/sys/kernel/shmall", "18446744073692774399\n");
  write("/proc/sys/kernel/shmmni", "4096\n");
  write("/proc/sysvipc/shm", "       key      shmid perms\n         0          3  1600\n         0          4  1600\n");
  telling now = all();
  EXPECT_EQ(now["shared: largest segment"].number, 18446744073692774399U);
  EXPECT_EQ(now["shared: all segments"].number, ~std::uint64_t{0});
  EXPECT_EQ(now["shared: most segments"].number, 4096U);
  EXPECT_EQ(now["shared: segments"].number, 2U);
}

TEST_F(FactsTree, MountedMemory) {
  directory("/dev/shm");
  directory("/a b");
  write("/proc/self/mountinfo",
        "36 35 0:31 / /dev/shm rw,nosuid - tmpfs tmpfs rw,size=65536k\n"
        "37 35 0:32 / /a\\040b rw shared:1 - tmpfs none rw\n"
        "38 35 0:33 / /proc rw - proc proc rw\n39 35 0:34 / /gone rw - tmpfs none rw\ngarbage\n");
  telling now = all();
  const std::filesystem::space_info space = std::filesystem::space(root());
  EXPECT_EQ(now["tmpfs: /dev/shm size"].number, space.capacity);
  EXPECT_TRUE(now.contains("tmpfs: /a b free"));
  EXPECT_FALSE(now.contains("tmpfs: /proc size"));
  EXPECT_FALSE(now.contains("tmpfs: /gone size"));
}

TEST_F(FactsTree, OfWhatTheOsDoesNotTellNothingIsSaid) {
  for (const auto& [name, what] : all()) {
    EXPECT_TRUE(name.starts_with("memory: ") || name.starts_with("limit: ") || name.starts_with("locked: ") ||
                name == "pages: base")
        << name;
  }
}

std::uint64_t meminfo(const std::string& name) {
  std::ifstream file("/proc/meminfo");
  std::string word;
  for (std::uint64_t kib = 0; file >> word >> kib; std::getline(file, word)) {
    if (word == name + ":") return kib << 10;
  }
  return 0;
}

TEST(Facts, OfThisMachineAreItsOwn) {
  telling now = listen();
  EXPECT_EQ(now["memory: managed"].number, meminfo("MemTotal"));
  EXPECT_GE(now["memory: installed"].number, now["memory: managed"].number);
  EXPECT_GE(now["memory: managed"].number, now["limit: hard"].number);
  EXPECT_GE(now["limit: hard"].number, now["memory: available"].number);
  EXPECT_GT(now["memory: available"].number, 0U);
  EXPECT_LE(now["limit: soft"].number, now["limit: hard"].number);
  EXPECT_EQ(now["pages: base"].number, platform::page_size());
  EXPECT_EQ(now.contains("cache: arc size"), std::filesystem::exists("/proc/spl/kstat/zfs/arcstats"));
}

TEST(Facts, NoFailingCallIsAnError) {
  for (const auto call : {strata::test::os_call::open, strata::test::os_call::read, strata::test::os_call::getdents64,
                          strata::test::os_call::statvfs}) {
    strata::test::os_script script;
    script.fail_always(call, EACCES);
    EXPECT_EQ(listen()["pages: base"].number, platform::page_size());
  }
}

}  // namespace
