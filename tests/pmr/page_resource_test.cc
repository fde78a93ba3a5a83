// SPDX-License-Identifier: Apache-2.0
// Claims beyond conformance: blocks are whole zeroed pages; what the OS refuses is an allocation_error with the cause,
// and nothing stays mapped; pages the OS will not take back are kept, counted, reported as degraded and given back
// later; prefaulted pages are resident; parent and child of a fork each own a copy; blocks alive at destruction are
// misuse; what is resident is told where that is wanted, and unknown is not 0.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <new>
#include <span>
#include <string>

#include "tests/os_script/os_script.h"

import strata.pmr;

namespace strata::pmr {
namespace {

using test::os_call;
using test::os_script;

const std::size_t page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));

TEST(PageResource, RoundsToPagesAndCountsTheRounding) {
  page_resource memory;
  void* const p = memory.allocate(1);
  const statistics s = memory.stats();
  EXPECT_EQ(s.live, 1U);
  EXPECT_EQ(s.upstream, page);
  EXPECT_EQ(s.overhead, page - 1);
  EXPECT_EQ(s.kept, 0U);
  memory.deallocate(p, 1);
  EXPECT_EQ(memory.stats().upstream, 0U);
}

TEST(PageResource, GivesZeroedMemory) {
  page_resource memory;
  for (int round = 0; round < 3; ++round) {
    auto* const p = static_cast<unsigned char*>(memory.allocate(3 * page));
    EXPECT_TRUE(std::all_of(p, p + 3 * page, [](unsigned char c) { return c == 0; }));
    std::memset(p, 0xFF, 3 * page);
    memory.deallocate(p, 3 * page);
  }
}

TEST(PageResource, EveryRefusalIsAnErrorWithItsCauseAndLeavesNothing) {
  for (const bool prefault : {false, true}) {
    page_resource memory({.name = "p", .prefault = prefault});
    for (const os_call call : {os_call::mmap, os_call::madvise}) {
      if (call == os_call::madvise && !prefault) continue;
      os_script script;
      script.fail_always(call, ENOMEM);
      try {
        (void)memory.allocate(5 * page, 16 * page);
        ADD_FAILURE() << "served though the OS refused";
      } catch (const allocation_error& error) {
        EXPECT_EQ(error.os_code(), ENOMEM);
        EXPECT_NE(std::string(error.what()).find("ENOMEM"), std::string::npos) << error.what();
      }
      EXPECT_EQ(script.mapped_bytes(), 0U);
      EXPECT_EQ(memory.stats().upstream, 0U);
    }
    EXPECT_GE(memory.stats().failures, 1U);
    memory.deallocate(memory.allocate(5 * page, 16 * page), 5 * page, 16 * page);
  }
}

TEST(PageResource, KeepsAndReportsPagesTheOsWillNotTakeBack) {
  page_resource memory({.name = "p"});
  void* const a = memory.allocate(2 * page);
  void* const b = memory.allocate(3 * page);
  {
    os_script script;
    script.fail_always(os_call::munmap, ENOMEM);
    memory.deallocate(a, 2 * page);
    const statistics s = memory.stats();
    EXPECT_EQ(s.live, 3 * page);
    EXPECT_EQ(s.kept, 2 * page);
    EXPECT_EQ(s.upstream, s.live + s.kept + s.overhead);
    std::array<degradation, 4> states{};
    ASSERT_EQ(memory.degraded(states), 1U);
    EXPECT_NE(std::string(states[0].reason).find("refused to unmap"), std::string::npos);
    EXPECT_EQ(states[0].times, 1U);
    EXPECT_EQ(memory.trim(), 0U);
  }
  memory.deallocate(b, 3 * page);
  EXPECT_EQ(memory.stats().upstream, 0U) << "the next deallocation tries again";
}

TEST(PageResource, TrimTriesAgain) {
  page_resource memory;
  void* const a = memory.allocate(2 * page);
  {
    os_script script;
    script.fail_always(os_call::munmap, ENOMEM);
    memory.deallocate(a, 2 * page);
  }
  EXPECT_EQ(memory.trim(), 2 * page);
  EXPECT_EQ(memory.stats().upstream, 0U);
}

TEST(PageResource, PrefaultedPagesAreResident) {
  page_resource memory({.prefault = true});
  auto* const p = static_cast<unsigned char*>(memory.allocate(64 * page));
  std::array<unsigned char, 64> resident{};
  ASSERT_EQ(::mincore(p, 64 * page, resident.data()), 0);
  EXPECT_TRUE(std::all_of(resident.begin(), resident.end(), [](unsigned char c) { return (c & 1) != 0; }));
  memory.deallocate(p, 64 * page);
}

TEST(PageResource, ParentAndChildOwnACopyEach) {
  page_resource memory;
  auto* const p = static_cast<char*>(memory.allocate(page));
  std::strcpy(p, "parent");
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const bool seen = std::strcmp(p, "parent") == 0;
    std::strcpy(p, "child");
    memory.deallocate(p, page);
    memory.deallocate(memory.allocate(10 * page), 10 * page);
    ::_exit(seen && memory.stats().upstream == 0 ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  EXPECT_STREQ(p, "parent");
  memory.deallocate(p, page);
}

TEST(PageResourceDeathTest, LiveBlocksAtDestructionAreMisuse) {
  EXPECT_DEATH(
      {
        page_resource memory({.name = "p"});
        (void)memory.allocate(1);
      },
      "strata: p: destroyed with live blocks");
}

TEST(PageResource, KnowsWhatIsResidentWhenAsked) {
  page_resource memory({.knows_resident = true});
  EXPECT_EQ(memory.resident(), 0U);
  auto* const p = static_cast<char*>(memory.allocate(64 * page));
  void* const other = memory.allocate(page);
  EXPECT_EQ(memory.resident(), 0U) << "nothing was touched";
  std::memset(p, 1, 5 * page);
  const std::size_t resident = memory.resident().value();
  EXPECT_GE(resident, 5 * page);
  EXPECT_LE(resident, 65 * page);
  memory.deallocate(p, 64 * page);
  memory.deallocate(other, page);
  EXPECT_EQ(memory.resident(), 0U);
  EXPECT_FALSE(page_resource().resident().has_value()) << "not asked to know";
}

TEST(PageResource, DoesNotKnowWhatIsResidentWhenItCouldNotRemember) {
  page_resource memory({.knows_resident = true});
  os_script script;
  script.fail(os_call::mmap, 2, ENOMEM);  // the first is the block, the second room to remember it
  void* const p = memory.allocate(page);
  EXPECT_FALSE(memory.resident().has_value());
  memory.deallocate(p, page);
}

}  // namespace
}  // namespace strata::pmr
