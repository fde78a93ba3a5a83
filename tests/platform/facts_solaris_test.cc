// SPDX-License-Identifier: Apache-2.0
// Claims, on Solaris: every figure is the one of the system's own calls: memory, limit and what sets it, locks, page
// sizes, limits on segments, file systems in memory, ZFS's cache; what the system does not tell is left out.
#include <gtest/gtest.h>

#include <cerrno>
#include <cstdint>
#include <map>
#include <string>

#include "tests/fakes/solaris/machine.h"

import strata.platform;

namespace {

namespace platform = strata::platform;
using strata::fake_solaris::fresh_machine;

struct told {
  std::uint64_t number;
  std::string text;
};
using telling = std::map<std::string, told>;

telling listen() {
  telling all;
  platform::facts([&](const platform::fact& f) {
    all[std::string(f.group) + ": " + std::string(f.name)] = {f.number, std::string(f.text)};
    EXPECT_EQ(f.unit == platform::fact_unit::text, !f.text.empty()) << f.group << ' ' << f.name;
  });
  return all;
}

constexpr std::uint64_t kPage = 4096;

TEST(FactsSolaris, AreThoseOfTheSystem) {
  const fresh_machine machine;
  machine->installed = 2096958;
  machine->physmem = 2092861;
  machine->pageslocked = 1162706;
  machine->freemem = 700000;
  telling now = listen();
  EXPECT_EQ(now["memory: installed"].number, 2096958 * kPage);
  EXPECT_EQ(now["memory: managed"].number, 2092861 * kPage);
  EXPECT_EQ(now["memory: available"].number, 700000 * kPage);
  EXPECT_EQ(now["limit: hard"].number, 2092861 * kPage);
  EXPECT_EQ(now["limit: set by"].text, "the machine: no zone sets a lower one");
  EXPECT_EQ(now["locked: machine"].number, 1162706 * kPage);
  EXPECT_EQ(now["locked: process limit"].number, 0U) << "without the privilege";
  EXPECT_EQ(now["pages: base"].number, kPage);
  EXPECT_EQ(now["pages: large"].number, std::uint64_t{2} << 20);
  EXPECT_EQ(now["pages: 1048576 kB"].number, std::uint64_t{1} << 30);
  EXPECT_EQ(now["shared: most segments"].number, 128U);
  EXPECT_FALSE(now.contains("shared: all segments")) << "no limit is set";
  EXPECT_FALSE(now.contains("cache: arc size"));
  EXPECT_GT(now["tmpfs: /tmp size"].number, 0U);
}

TEST(FactsSolaris, FollowZonePrivilegeAndControls) {
  const fresh_machine machine;
  machine->physmem = 2092861;
  machine->freemem = 700000;
  machine->zone_cap = 262144;
  machine->may_lock = true;
  machine->max_shm_memory = 1 << 20;
  machine->has_zfs = true;
  machine->arc_size = 5;
  machine->tmp_is_memory = false;
  telling now = listen();
  EXPECT_EQ(now["limit: hard"].number, 262144 * kPage);
  EXPECT_EQ(now["limit: set by"].text, "zone.capped-memory");
  EXPECT_EQ(now["locked: process limit"].text, "none");
  EXPECT_EQ(now["shared: all segments"].number, 1U << 20);
  EXPECT_EQ(now["cache: arc size"].number, 5U);
  EXPECT_FALSE(now.contains("tmpfs: /tmp size"));
  machine->tmp_is_memory = true;
  machine.fail("statvfs", 1, EACCES);
  EXPECT_FALSE(listen().contains("tmpfs: /tmp size"));
}

}  // namespace
