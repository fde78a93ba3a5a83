// SPDX-License-Identifier: Apache-2.0
// Claims: each of the seven policies is what it says, as the OS tells: bytes locked, pages large or not, segments and
// their permissions, nothing left behind; what could not be had is an exception when strict and a degraded state when
// not, never silence; alignment is real; a pool stands on each.
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <new>
#include <sstream>
#include <string>

#include "tests/support/sanitizer.h"

import strata.mem;
import strata.pmr;

namespace strata::pmr {
namespace {

constexpr std::size_t bytes = std::size_t{4} << 20;

// SysV segments this process made, and the permission bits of the last.
struct segments_here {
  std::size_t count = 0;
  unsigned mode = 0;
};

// "key shmid perms size cpid …": permissions in octal, with a bit for those whose id is gone.
segments_here look_for_segments() {
  segments_here found;
  std::ifstream file("/proc/sysvipc/shm");
  std::string line;
  std::getline(file, line);
  while (std::getline(file, line)) {
    std::istringstream words(line);
    long key = 0;
    long id = 0;
    unsigned mode = 0;
    std::size_t size = 0;
    long creator = 0;
    words >> key >> id >> std::oct >> mode >> std::dec >> size >> creator;
    if (creator != ::getpid()) continue;
    ++found.count;
    found.mode = mode;
  }
  return found;
}

struct seen {
  std::size_t locked;
  mem::backing pages;
  segments_here segments;
  bool degraded;
};

// Makes a chunk, as a pool would, fills it, and asks the OS what it is.
template <class Memory>
seen look_at(Memory& memory) {
  const std::size_t locked_before = mem::locks().locked;
  void* const p = memory.allocate(bytes, 4096);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(p) % 4096, 0U);
  std::memset(p, 7, bytes);
  report what;
  memory.collect(what);
  bool any = false;
  for (const report::row& r : what.rows()) any = any || r.degradations != 0;
  const seen found{mem::locks().locked - locked_before, mem::backing_of(p, bytes), look_for_segments(), any};
  memory.deallocate(p, bytes, 4096);
  EXPECT_EQ(mem::locks().locked, locked_before);
  EXPECT_EQ(look_for_segments().count, 0U);
  object_pool<std::uint64_t> pool(&memory);
  pool.recycle(pool.request());
  return found;
}

constexpr bool locks_count = !test::under_asan && !test::under_tsan;  // else their runtimes answer mlock

TEST(Policy, CxxIsTheHeapWithRealAlignment) {
  auto memory = policy::cxx();
  const seen found = look_at(memory);
  EXPECT_EQ(found.locked, 0U);
  EXPECT_EQ(found.segments.count, 0U);
  EXPECT_FALSE(found.degraded);
}

TEST(Policy, CPageableIsInLargePagesOrSaysThatItIsNot) {
  auto memory = policy::c_pageable();
  const seen found = look_at(memory);
  EXPECT_EQ(found.locked, 0U);
  EXPECT_EQ(found.segments.count, 0U);
  if (large_page_bytes() != 0) EXPECT_EQ(found.pages.large < bytes, found.degraded);
}

TEST(Policy, CLockedIsLocked) {
  auto memory = policy::c_locked();
  try {
    const seen found = look_at(memory);
    if (locks_count) EXPECT_EQ(found.locked, bytes);
    EXPECT_EQ(found.segments.count, 0U);
  } catch (const allocation_error& refused) {
    EXPECT_NE(std::string(refused.what()).find("locked"), std::string::npos) << refused.what();
  }
}

TEST(Policy, LockedWithoutStrictnessIsLockedOrSaysThatItIsNot) {
  auto memory = policy::c_locked(false);
  const seen found = look_at(memory);
  if (locks_count) EXPECT_TRUE(found.locked == bytes || found.degraded);
}

TEST(Policy, SharedIsmIsInLargePagesOrLockedOrRefused) {
  try {
    auto memory = policy::shared_ism();
    const seen found = look_at(memory);
    EXPECT_EQ(found.segments.count, 1U);
    EXPECT_EQ(found.segments.mode & 0777, 0600U);
    if (locks_count) EXPECT_TRUE(found.pages.large == bytes || (found.locked == bytes && found.degraded));
  } catch (const allocation_error& refused) {
    EXPECT_GT(std::string(refused.what()).size(), 20U);
  }
}

TEST(Policy, SharedDismIsPageable) {
  auto memory = policy::shared_dism();
  const seen found = look_at(memory);
  EXPECT_EQ(found.segments.count, 1U);
  EXPECT_EQ(found.segments.mode & 0777, 0600U);
  EXPECT_EQ(found.locked, 0U);
}

TEST(Policy, SharedPageableIsInLargePagesOrSaysThatItIsNot) {
  auto memory = policy::shared_pageable();
  const seen found = look_at(memory);
  EXPECT_EQ(found.segments.count, 1U);
  EXPECT_EQ(found.segments.mode & 0777, 0600U);
  EXPECT_EQ(found.locked, 0U);
  if (large_page_bytes() != 0) EXPECT_EQ(found.pages.large < bytes, found.degraded);
}

TEST(Policy, SharedLockedIsLocked) {
  auto memory = policy::shared_locked();
  try {
    const seen found = look_at(memory);
    EXPECT_EQ(found.segments.count, 1U);
    if (locks_count) EXPECT_EQ(found.locked, bytes);
  } catch (const allocation_error& refused) {
    EXPECT_NE(std::string(refused.what()).find("locked"), std::string::npos) << refused.what();
  }
}

}  // namespace
}  // namespace strata::pmr
