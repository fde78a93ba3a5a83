// SPDX-License-Identifier: Apache-2.0
// Claims, on Solaris (S0-40, S0-41, W0-12):
//  * installed is what sysconf says, managed what the kernel's census says, and the two are never mixed
//  * the limit is the zone's cap where there is one; available is the room under it, and never more than is free
//  * what is locked is the census' figure; with it, what is left adds up to the total
//  * ZFS's cache is told where there is one, and only there
//  * without kstat, sysconf stands in; without either, figures are 0
#include <gtest/gtest.h>

#include <cerrno>
#include <cstdint>

#include "tests/fakes/solaris/machine.h"

import strata.platform;

namespace {

using strata::fake_solaris::fresh_machine;
using strata::platform::memory;

constexpr std::uint64_t kPage = 4096;

/// The machine of S0-40: 8192 MB.
struct MemorySolaris : testing::Test {
  fresh_machine machine;
  MemorySolaris() {
    machine->installed = 2096958;
    machine->physmem = 2092861;
    machine->pageslocked = 1162706;
    machine->freemem = 700000;
  }
};

TEST_F(MemorySolaris, InstalledAndManagedAreTwoFigures) {
  const auto now = memory();
  EXPECT_EQ(now.installed, 2096958 * kPage);
  EXPECT_EQ(now.managed, 2092861 * kPage);
  EXPECT_EQ((now.installed - now.managed) / kPage, 4097U);
  EXPECT_EQ(now.limit, now.managed);
  EXPECT_STREQ(now.limit_source, "") << "the machine";
  EXPECT_EQ(now.soft_limit, now.limit);
  EXPECT_EQ(now.available, 700000 * kPage);
}

TEST_F(MemorySolaris, LockedAndTheRestAddUpToTheTotal) {
  const auto now = memory();
  EXPECT_EQ(now.locked, 1162706 * kPage);
  EXPECT_EQ((now.managed - now.locked) / kPage, 930155U) << "availrmem of the same snapshot";
}

TEST_F(MemorySolaris, TheZonesCapIsTheLimit) {
  machine->zone_cap = 262144;  // 1 GiB
  machine->zone_used = 200000;
  auto now = memory();
  EXPECT_EQ(now.limit, 262144 * kPage);
  EXPECT_STREQ(now.limit_source, "zone.capped-memory");
  EXPECT_EQ(now.managed, 2092861 * kPage);
  EXPECT_GE(now.installed, now.managed);
  EXPECT_EQ(now.available, (262144 - 200000) * kPage);
  machine->freemem = 1000;
  EXPECT_EQ(memory().available, 1000 * kPage) << "the machine has less than the zone may take";
  machine->zone_used = 300000;
  EXPECT_EQ(memory().available, 0U) << "beyond its cap";
}

TEST_F(MemorySolaris, ZfsIsToldWhereItIs) {
  EXPECT_FALSE(memory().cache);
  machine->has_zfs = true;
  machine->arc_size = 3'000'000'000;
  machine->arc_minimum = 268'435'456;
  machine->arc_maximum = 7'498'616'832;
  const auto now = memory();
  ASSERT_TRUE(now.cache);
  EXPECT_EQ(now.cache->size, 3'000'000'000U);
  EXPECT_EQ(now.cache->minimum, 268'435'456U);
  EXPECT_EQ(now.cache->maximum, 7'498'616'832U);
  EXPECT_EQ(now.available, 700000 * kPage) << "not counted";
}

TEST_F(MemorySolaris, SysconfStandsInForKstat) {
  machine->kstat_works = false;
  machine->has_zfs = true;
  const auto now = memory();
  EXPECT_EQ(now.installed, 2096958 * kPage);
  EXPECT_EQ(now.managed, now.installed);
  EXPECT_EQ(now.available, 700000 * kPage);
  EXPECT_EQ(now.locked, 0U);
  EXPECT_FALSE(now.cache);
}

TEST_F(MemorySolaris, HoldsItsOrderWhateverCallFails) {
  machine->has_zfs = true;
  machine->zone_cap = 262144;
  for (const char* call : {"kstat_open", "kstat_read", "sysconf", "kstat_close"}) {
    for (unsigned nth = 1; nth <= 6; ++nth) {
      fresh_machine again;
      again->installed = 2096958;
      again->physmem = 2092861;
      again->freemem = 700000;
      again.fail(call, nth, EIO);
      const auto now = memory();
      EXPECT_GE(now.installed, now.managed) << call << nth;
      EXPECT_GE(now.managed, now.limit) << call << nth;
      EXPECT_GE(now.limit, now.available) << call << nth;
    }
  }
}

TEST(MemorySolarisMachine, OfThisMachineAddsUp) {
  const auto now = memory();
  EXPECT_GE(now.installed, now.managed);
  EXPECT_GE(now.managed, now.limit);
  EXPECT_GE(now.limit, now.available);
  EXPECT_GE(now.managed, now.locked);
  EXPECT_GT(now.available, 0U);
}

}  // namespace
