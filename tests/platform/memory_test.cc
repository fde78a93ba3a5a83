// SPDX-License-Identifier: Apache-2.0
// Claims (W0-12):
//  * on the machine at hand: installed >= managed >= limit >= available > 0, limit >= soft limit
//  * limit and room are the smallest over the group and its ancestors, in version 1, version 2 and both; with no limit
//  set the limit is
//    what the machine has
//  * a group has room up to its limit, counting the file pages it can drop
//  * ZFS's cache is told where there is one, and only there
//  * missing, empty, torn and senseless files have the outcome each field promises; every file call may fail at every
//  step
#include <gtest/gtest.h>
#include <sys/sysinfo.h>

#include <cerrno>
#include <cstdint>
#include <string>

#include "tests/os_script/os_script.h"
#include "tests/platform/fake_tree.h"

import strata.platform;

namespace {

using strata::platform::memory;
using strata::test::fail_each;
using strata::test::os_call;
using strata::test::os_script;

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;
constexpr std::uint64_t kGiB = std::uint64_t{1} << 30;

std::string line(std::uint64_t bytes) { return std::to_string(bytes) + "\n"; }

TEST(Memory, OfThisMachineAddsUp) {
  const auto status = memory();
  EXPECT_GE(status.installed, status.managed);
  EXPECT_GE(status.managed, status.limit);
  EXPECT_GE(status.limit, status.soft_limit);
  EXPECT_GE(status.limit, status.available);
  EXPECT_GE(status.managed, status.locked);
  EXPECT_GT(status.available, 0U);
  EXPECT_GT(status.soft_limit, 0U);
  struct sysinfo info{};
  ASSERT_EQ(::sysinfo(&info), 0);
  EXPECT_EQ(status.managed, std::uint64_t{info.totalram} * info.mem_unit);
}

class MemoryTree : public strata::test::fake_tree {
 protected:
  void SetUp() override {
    write("/proc/meminfo",
          "MemTotal:        8388608 kB\n"  // 8 GiB
          "MemFree:         1048576 kB\n"
          "MemAvailable:    6291456 kB\n"  // 6 GiB
          "Buffers:           65536 kB\n"
          "Cached:          2097152 kB\n"
          "Mlocked:            1024 kB\n"
          "Shmem:            524288 kB\n"
          "HugePages_Total:       0\n");
  }
  void version_2(const std::string& own = "/a/b") {
    write("/proc/self/cgroup", "0::" + own + "\n");
    write("/proc/self/mountinfo", "30 24 0:26 / /v2 rw - cgroup2 cgroup2 rw\n");
  }
  void version_1(const std::string& own = "/a/b") {
    write("/proc/self/cgroup", "4:memory:" + own + "\n");
    write("/proc/self/mountinfo", "35 31 0:32 / /v1 rw - cgroup cgroup rw,memory\n");
  }
  void hybrid() {
    write("/proc/self/cgroup", "4:memory:/a\n0::/a\n");
    write("/proc/self/mountinfo",
          "35 31 0:32 / /v1 rw - cgroup cgroup rw,memory\n"
          "41 31 0:38 / /v2 rw - cgroup2 cgroup2 rw\n");
  }
  auto status() const { return memory(root()); }
  void expect_no_limit() const {
    const auto now = status();
    EXPECT_EQ(now.managed, 8 * kGiB);
    EXPECT_EQ(now.limit, 8 * kGiB);
    EXPECT_EQ(now.soft_limit, 8 * kGiB);
    EXPECT_EQ(now.available, 6 * kGiB);
  }
};

TEST_F(MemoryTree, WithoutGroupsTheMachineIsTheLimit) {
  expect_no_limit();
  EXPECT_EQ(status().locked, kMiB);
  EXPECT_EQ(status().installed, 8 * kGiB) << "as managed where memory blocks are not told";
  EXPECT_FALSE(status().cache);
}

TEST_F(MemoryTree, InstalledCountsMemoryBlocks) {
  write("/sys/devices/system/memory/block_size_bytes", "8000000\n");  // hexadecimal: 128 MiB
  for (int i = 0; i < 70; ++i) directory("/sys/devices/system/memory/memory" + std::to_string(i));
  for (const char* other : {"power", "memory", "memoryx", "auto_online_blocks"})
    directory(std::string("/sys/devices/system/memory/") + other);
  EXPECT_EQ(status().installed, 70 * 128 * kMiB);
  EXPECT_EQ(status().managed, 8 * kGiB);
  write("/sys/devices/system/memory/block_size_bytes", "unknown\n");
  EXPECT_EQ(status().installed, 8 * kGiB);
  write("/sys/devices/system/memory/block_size_bytes", "1000\n");
  EXPECT_EQ(status().installed, 8 * kGiB) << "never less than managed";
}

TEST_F(MemoryTree, Version2LimitsByTheWordMaxOrANumber) {
  version_2();
  expect_no_limit();
  write("/v2/a/b/memory.max", "max\n");
  write("/v2/a/b/memory.high", "max\n");
  expect_no_limit();
  write("/v2/a/b/memory.max", line(2 * kGiB));
  EXPECT_EQ(status().limit, 2 * kGiB);
  EXPECT_EQ(status().soft_limit, 2 * kGiB);
  EXPECT_EQ(status().available, 2 * kGiB) << "usage is not told: the limit bounds";
  EXPECT_EQ(status().managed, 8 * kGiB);
}

TEST_F(MemoryTree, Version2HasRoomUpToTheLimitAndForPagesItCanDrop) {
  version_2();
  write("/v2/a/b/memory.max", line(2 * kGiB));
  write("/v2/a/b/memory.current", line(1536 * kMiB));
  EXPECT_EQ(status().available, 512 * kMiB);
  write("/v2/a/b/memory.stat", "anon 1000\nfile 99999999\ninactive_file 104857600\nactive_file 209715200\nslab 77\n");
  EXPECT_EQ(status().available, (512 + 300) * kMiB);
  write("/v2/a/b/memory.current", line(3 * kGiB));
  EXPECT_EQ(status().available, 0U) << "beyond its limit, as after lowering it";
}

TEST_F(MemoryTree, AncestorsLimitAsWell) {
  version_2();
  write("/v2/a/b/memory.max", line(4 * kGiB));
  write("/v2/a/b/memory.current", line(100 * kMiB));
  write("/v2/a/memory.max", line(1 * kGiB));
  write("/v2/a/memory.current", line(1000 * kMiB));
  EXPECT_EQ(status().limit, 1 * kGiB);
  EXPECT_EQ(status().available, 24 * kMiB) << "brothers and sisters use most of the parent's";
  write("/v2/memory.max", line(512 * kMiB));
  EXPECT_EQ(status().limit, 512 * kMiB);
}

TEST_F(MemoryTree, RoomIsTheSmallestEvenWhereTheLimitIsNot) {
  version_2();
  write("/v2/a/b/memory.max", line(1 * kGiB));
  write("/v2/a/b/memory.current", line(0));
  write("/v2/a/memory.max", line(4 * kGiB));
  write("/v2/a/memory.current", line(4 * kGiB - 10 * kMiB));
  EXPECT_EQ(status().limit, 1 * kGiB);
  EXPECT_EQ(status().available, 10 * kMiB);
}

TEST_F(MemoryTree, HighIsASoftLimit) {
  version_2();
  write("/v2/a/b/memory.high", line(3 * kGiB));
  EXPECT_EQ(status().limit, 8 * kGiB);
  EXPECT_EQ(status().soft_limit, 3 * kGiB);
  write("/v2/a/memory.high", line(2 * kGiB));
  EXPECT_EQ(status().soft_limit, 2 * kGiB);
  write("/v2/a/b/memory.max", line(1 * kGiB));
  EXPECT_EQ(status().soft_limit, 1 * kGiB) << "never above the limit";
}

TEST_F(MemoryTree, Version1LimitsByNumberAndCountsDescendants) {
  version_1();
  write("/v1/a/b/memory.limit_in_bytes", "9223372036854771712\n");
  expect_no_limit();
  write("/v1/a/memory.limit_in_bytes", line(2 * kGiB));
  write("/v1/a/memory.usage_in_bytes", line(1 * kGiB));
  write("/v1/a/memory.stat", "inactive_file 999999999\ntotal_inactive_file 1048576\ntotal_active_file 2097152\n");
  EXPECT_EQ(status().limit, 2 * kGiB);
  EXPECT_EQ(status().available, 1 * kGiB + 3 * kMiB);
}

TEST_F(MemoryTree, HybridTakesTheSmallerOfBoth) {
  hybrid();
  write("/v1/a/memory.limit_in_bytes", line(3 * kGiB));
  EXPECT_EQ(status().limit, 3 * kGiB);
  write("/v2/a/memory.max", line(2 * kGiB));
  EXPECT_EQ(status().limit, 2 * kGiB);
  remove("/v1/a/memory.limit_in_bytes");
  write("/v1/memory.limit_in_bytes", line(1 * kGiB));
  EXPECT_EQ(status().limit, 1 * kGiB);
}

TEST_F(MemoryTree, ANamespacedGroupThatIsNotThereFallsBackToWhatIs) {
  version_2("/kubepods/pod17/container");
  write("/v2/memory.max", line(2 * kGiB));
  EXPECT_EQ(status().limit, 2 * kGiB);
  version_2("/../host/group");
  EXPECT_EQ(status().limit, 2 * kGiB);
}

TEST_F(MemoryTree, ALimitAboveTheMachineIsNone) {
  version_2();
  write("/v2/a/b/memory.max", line(64 * kGiB));
  write("/v2/a/b/memory.high", line(32 * kGiB));
  write("/v2/a/b/memory.current", line(63 * kGiB));
  expect_no_limit();
  write("/v2/a/b/memory.max", "99999999999999999999999999\n");
  expect_no_limit();
}

TEST_F(MemoryTree, LimitsThatMakeNoSenseAreNone) {
  version_2();
  for (const char* text : {"", "\n", "-1\n", "1 GiB\n", "maximum\n", "0x1000\n", "12 13\n"}) {
    write("/v2/a/b/memory.max", text);
    write("/v2/a/b/memory.high", text);
    expect_no_limit();
  }
  write("/v2/a/b/memory.max", line(kGiB));
  for (const char* text : {"", "lots\n", "-5\n"}) {
    write("/v2/a/b/memory.current", text);
    write("/v2/a/b/memory.stat", text);
    EXPECT_EQ(status().available, kGiB);
  }
  write("/v2/a/b/memory.current", line(kGiB));
  write("/v2/a/b/memory.stat", "inactive_file\nactive_file many\ninactive_file 99999999999999999999\n");
  EXPECT_EQ(status().available, kGiB) << "never more than the limit";
}

TEST_F(MemoryTree, AvailableIsEstimatedOnKernelsThatDoNotTell) {
  write("/proc/meminfo",
        "MemTotal: 8388608 kB\nMemFree: 1048576 kB\nBuffers: 65536 kB\nCached: 2097152 kB\nShmem: 524288 kB\n");
  EXPECT_EQ(status().available, (1024 + 64 + 2048 - 512) * kMiB);
  EXPECT_EQ(status().locked, 0U);
}

TEST_F(MemoryTree, AvailableIsNeverMoreThanThereIs) {
  write("/proc/meminfo", "MemTotal: 1024 kB\nMemAvailable: 2048 kB\n");
  EXPECT_EQ(status().available, kMiB);
}

TEST_F(MemoryTree, SysinfoStandsInForMeminfo) {
  struct sysinfo info{};
  ASSERT_EQ(::sysinfo(&info), 0);
  for (const char* text : {"", "garbage", "MemTotal: lots kB\n", "MemTotal: 12\n", "MemTotal 8388608 kB\n",
                           "MemTotal: 8388608 kB trailing\n"}) {
    write("/proc/meminfo", text);
    EXPECT_EQ(status().managed, std::uint64_t{info.totalram} * info.mem_unit) << text;
    EXPECT_GT(status().available, 0U);
    EXPECT_LE(status().available, status().limit);
  }
  remove("/proc");
  EXPECT_EQ(status().limit, std::uint64_t{info.totalram} * info.mem_unit);
}

TEST_F(MemoryTree, IsNotKnownWhereNothingIsTold) {
  remove("/proc");
  {
    os_script script;
    script.fail_always(os_call::sysinfo, EPERM);
    const auto now = status();
    EXPECT_EQ(now.installed, 0U);
    EXPECT_EQ(now.managed, 0U);
    EXPECT_EQ(now.limit, 0U);
    EXPECT_EQ(now.soft_limit, 0U);
    EXPECT_EQ(now.available, 0U);
  }
  version_2();
  write("/v2/a/memory.max", line(kGiB));
  write("/v2/a/memory.current", line(kMiB));
  os_script script;
  script.fail_always(os_call::sysinfo, EPERM);
  EXPECT_EQ(status().limit, kGiB) << "a group's limit is a limit all the same";
  EXPECT_EQ(status().available, kGiB - kMiB);
}

TEST_F(MemoryTree, TellsOfTheCacheOfZfs) {
  write("/proc/spl/kstat/zfs/arcstats",
        "13 1 0x01 123 33456 10487297212 252862367420\nname                            type data\n"
        "hits                            4    1000\n"
        "c                               4    3221225472\n"
        "c_min                           4    268435456\n"
        "c_max                           4    7498616832\n"
        "size                            4    2147483648\n"
        "compressed_size                 4    5\n");
  const auto cache = status().cache;
  ASSERT_TRUE(cache);
  EXPECT_EQ(cache->size, 2 * kGiB);
  EXPECT_EQ(cache->minimum, 256 * kMiB);
  EXPECT_EQ(cache->maximum, 7498616832U);
  EXPECT_EQ(status().available, 6 * kGiB) << "not counted";
  for (const char* text : {"", "size\n", "size 4\n", "size 4 much\n", "c_max 4 1000\n"}) {
    write("/proc/spl/kstat/zfs/arcstats", text);
    EXPECT_FALSE(status().cache) << text;
  }
}

TEST_F(MemoryTree, KeepsItsIdentitiesWhateverFileCallFails) {
  hybrid();
  write("/v1/a/memory.limit_in_bytes", line(3 * kGiB));
  write("/v2/a/memory.max", line(2 * kGiB));
  write("/v2/a/memory.current", line(kGiB));
  write("/v2/a/memory.stat", "inactive_file 1048576\n");
  write("/sys/devices/system/memory/block_size_bytes", "8000000\n");
  for (int i = 0; i < 4; ++i) directory("/sys/devices/system/memory/memory" + std::to_string(i));
  const auto undisturbed = status();
  for (const os_call call : {os_call::open, os_call::read, os_call::getdents64, os_call::close, os_call::sysinfo}) {
    const unsigned met = fail_each(call, {EACCES, EMFILE, ENOENT, EIO}, [&](os_script& script) {
      const auto now = status();
      EXPECT_GE(now.installed, now.managed);
      EXPECT_GE(now.managed, now.limit);
      EXPECT_GE(now.limit, now.soft_limit);
      EXPECT_GE(now.limit, now.available);
      if (script.failed(call) == 0 || call == os_call::close) {
        EXPECT_EQ(now.limit, undisturbed.limit);
        EXPECT_EQ(now.available, undisturbed.available);
      }
    });
    EXPECT_EQ(met > 0, call != os_call::sysinfo);
    fail_each(call, {EINTR}, [&](os_script&) { EXPECT_EQ(status().available, undisturbed.available); });
  }
}

}  // namespace
