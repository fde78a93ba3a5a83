// SPDX-License-Identifier: Apache-2.0
// Claims: the table and the JSON object show every fact of a machine's files, the limit with the file it stands in; what
// the machine does not tell is "not told" and null; names are escaped; ZFS appears where it is and nowhere else.
#include <gtest/gtest.h>

#include <string>

#include "tests/platform/fake_tree.h"

import strata_tools;

namespace {

using strata_tools::as_json;
using strata_tools::as_table;
using strata_tools::read_machine_memory;

class Meminfo : public strata::test::fake_tree {
 protected:
  void SetUp() override {
    write("/proc/meminfo",
          "MemTotal:        8388608 kB\nMemFree:         1048576 kB\nMemAvailable:    6291456 kB\nMlocked:            "
          "1024 "
          "kB\n");
    write("/proc/self/status", "VmLck:\t      64 kB\nCapEff:\t0000000000004000\n");
    write("/proc/self/uid_map", "         0          0 4294967295\n");
    write("/proc/self/cgroup", "0::/a\n");
    write("/proc/self/mountinfo",
          "30 24 0:26 / /v2 rw - cgroup2 cgroup2 rw\n"
          "31 24 0:27 / /with\\040space rw,relatime shared:7 - tmpfs tmpfs rw,size=64k\n"
          "32 24 0:28 / /with\\040space rw - tmpfs over rw\n"
          "33 24 0:29 / /disk rw - ext4 /dev/vda rw\n"
          "34 24 0:30 / /gone\"away rw - ramfs ramfs rw\n");
    write("/v2/a/memory.max", "2147483648\n");
    write("/v2/a/memory.current", "1073741824\n");
    write("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "8\n");
    write("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "5\n");
    write("/sys/kernel/mm/hugepages/hugepages-2048kB/resv_hugepages", "2\n");
    write("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size", "4194304\n");
    write("/sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n");
    write("/sys/kernel/mm/transparent_hugepage/shmem_enabled", "always within_size advise [never] deny force\n");
    write("/sys/kernel/mm/transparent_hugepage/hugepages-64kB/enabled", "always [inherit] madvise never\n");
    directory("/with space");
  }
  [[nodiscard]] std::string json() const { return as_json(read_machine_memory(root())); }
  [[nodiscard]] std::string table() const { return as_table(read_machine_memory(root())); }

  static void expect_in(const std::string& text, const std::string& wanted) {
    EXPECT_NE(text.find(wanted), std::string::npos) << "no " << wanted << " in\n" << text;
  }
};

TEST_F(Meminfo, JsonHasEveryFigureInBytes) {
  const std::string text = json();
  for (const char* wanted :
       {"\"managed\": 8589934592,", "\"limit\": 2147483648,", "\"limit_origin\": \"/v2/a/memory.max\"",
        "\"available\": 1073741824,", "\"locked\": 1048576,", "\"locked_by_this_process\": 65536,",
        "\"may_lock\": null,", "\"zfs_cache\": null,",
        "{\"page\": 2097152, \"total\": 8, \"free\": 5, \"reserved\": 2}, {\"page\": 4194304}",
        "\"enabled\": \"madvise\", \"shmem_enabled\": \"never\", \"hugepages-64kB\": \"inherit\"}",
        "{\"path\": \"/with space\", \"size\": ", "{\"path\": \"/gone\\\"away\", \"size\": null, \"used\": 0}"}) {
    expect_in(text, wanted);
  }
  EXPECT_EQ(text.find("/disk"), std::string::npos) << "a disk is no memory";
  EXPECT_EQ(text.find("/with space"), text.rfind("/with space")) << "mounted over is one place";
}

TEST_F(Meminfo, TableHasThemForPeople) {
  const std::string text = table();
  for (const char* wanted :
       {"managed by the system               8.0 GiB", "limit of this process               2.0 GiB",
        "set by: /v2/a/memory.max", "may lock                          unlimited", "pool of 8, free 5, reserved 2",
        "large pages, enabled                madvise", "no bound  used 0 B at /gone\"away"}) {
    expect_in(text, wanted);
  }
  EXPECT_EQ(text.find("ZFS"), std::string::npos);
}

TEST_F(Meminfo, TheNearestOfTheSmallestLimitsIsNamed) {
  write("/v2/memory.max", "2147483648\n");
  expect_in(json(), "\"limit_origin\": \"/v2/a/memory.max\"");
  write("/v2/memory.max", "1073741824\n");
  expect_in(json(), "\"limit_origin\": \"/v2/memory.max\"");
  write("/v2/memory.max", "max\n");
  write("/v2/a/memory.max", "99999999999999\n");
  expect_in(json(), "\"limit_origin\": \"machine\"");
  expect_in(json(), "\"limit\": 8589934592");
}

TEST_F(Meminfo, ZfsAppearsWhereItIs) {
  write("/proc/spl/kstat/zfs/arcstats",
        "13 1 0x01 1 2 3 4\nname type data\nc_min 4 268435456\nc_max 4 7498616832\nsize 4 2147483648\n");
  expect_in(json(), R"("zfs_cache": {"size": 2147483648, "minimum": 268435456, "maximum": 7498616832})");
  expect_in(table(), "ZFS cache                           2.0 GiB  between 256.0 MiB and 7.0 GiB; not in available");
}

TEST_F(Meminfo, ALockLimitIsAFigureWithItsRemedy) {
  write("/proc/self/status", "CapEff:\t0000000000000000\n");
  const auto found = read_machine_memory(root());
  if (found.locks.limit == decltype(found.locks)::unlimited) GTEST_SKIP() << "this process has no limit";
  expect_in(as_json(found), "\"may_lock\": " + std::to_string(found.locks.limit) + ",");
  expect_in(as_table(found), "to have more: raise RLIMIT_MEMLOCK");
}

TEST_F(Meminfo, WhatIsNotToldIsNotMadeUp) {
  remove("/proc");
  remove("/sys");
  const std::string text = json();
  expect_in(text, "\"large_page_modes\": {}");
  expect_in(text, "\"file_systems\": []");
  expect_in(text, "\"limit_origin\": \"machine\"");
  expect_in(text, "\"zfs_cache\": null");
  auto nothing = read_machine_memory(root());
  nothing.memory = {};
  expect_in(as_json(nothing), "\"installed\": null");
  expect_in(as_table(nothing), "installed                          not told");
}

}  // namespace
