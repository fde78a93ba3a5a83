// SPDX-License-Identifier: Apache-2.0
// Claims: the ledger's bytes are what the kernel says is locked, after every step of a random run of blocks that share
// pages, and both are 0 at the end; a page is locked while any block has an end in it; a refused lock, at every step,
// leaves both as they were; what the kernel would not unlock is counted apart; in a child both are 0.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <random>
#include <thread>
#include <vector>

#include "tests/os_script/os_script.h"
#include "tests/support/sanitizer.h"

import strata.mem;

namespace strata::mem {
namespace {

struct LockLedger : testing::Test {
  static constexpr std::size_t pages = 64;
  std::size_t page = page_bytes();
  page_run area = map_run(pages * page, page, {}).run;
  std::uint64_t before = locks().locked;
  lock_ledger ledger;

  void SetUp() override {
    ASSERT_NE(area.base, nullptr);
    if (test::under_asan || test::under_tsan) GTEST_SKIP() << "sanitizers ignore locks";
  }
  ~LockLedger() override { EXPECT_FALSE(unmap_run(area).failed()); }

  [[nodiscard]] std::byte* at(std::size_t offset) const { return static_cast<std::byte*>(area.base) + offset; }
  [[nodiscard]] std::size_t kernel() const { return locks().locked - before; }
  [[nodiscard]] bool lock(std::size_t offset, std::size_t bytes, lock_time when = lock_time::now) {
    return !ledger.lock(at(offset), bytes, when).failed();
  }
};

TEST_F(LockLedger, APageIsLockedWhileAnyBlockHasAnEndInIt) {
  ASSERT_TRUE(lock(100, 50));
  ASSERT_TRUE(lock(200, page));  // the first page and the second
  EXPECT_EQ(ledger.bytes(), 2 * page);
  EXPECT_EQ(kernel(), 2 * page);
  EXPECT_TRUE(ledger.unlock(at(200), page));
  EXPECT_EQ(kernel(), page);
  EXPECT_FALSE(ledger.unlock(at(200), page)) << "no longer locked";
  EXPECT_TRUE(ledger.unlock(at(100), 50));
  EXPECT_EQ(kernel(), 0U);
  EXPECT_EQ(ledger.bytes(), 0U);
}

TEST_F(LockLedger, NothingLocksNothing) {
  EXPECT_TRUE(lock(0, 0));
  EXPECT_EQ(ledger.bytes(), 0U);
  EXPECT_FALSE(ledger.unlock(at(0), 0));
}

TEST_F(LockLedger, AgreesWithTheKernelAtEveryStep) {
  const std::uint64_t seed = 31;
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937_64 random(seed);
  struct block {
    std::size_t offset;
    std::size_t bytes;
  };
  // The area cut into blocks of chance sizes, each locked or not.
  std::vector<block> blocks;
  for (std::size_t offset = 0; offset < area.bytes;) {
    std::size_t bytes = random() % 3 == 0 ? page : 1 + random() % (3 * page);
    if (random() % 4 == 0) bytes = page - offset % page;
    bytes = std::min(bytes, area.bytes - offset);
    blocks.push_back({offset, bytes});
    offset += bytes;
  }
  std::vector<bool> locked(blocks.size());
  for (int step = 0; step < 2000; ++step) {
    const std::size_t i = random() % blocks.size();
    if (locked[i]) {
      ASSERT_TRUE(ledger.unlock(at(blocks[i].offset), blocks[i].bytes));
    } else {
      ASSERT_TRUE(lock(blocks[i].offset, blocks[i].bytes, random() % 2 == 0 ? lock_time::now : lock_time::on_touch));
    }
    locked[i] = !locked[i];
    std::vector<bool> wanted(pages);
    for (std::size_t b = 0; b < blocks.size(); ++b) {
      if (!locked[b]) continue;
      for (std::size_t p = blocks[b].offset / page; p * page < blocks[b].offset + blocks[b].bytes; ++p)
        wanted[p] = true;
    }
    const auto count = static_cast<std::size_t>(std::count(wanted.begin(), wanted.end(), true));
    ASSERT_EQ(ledger.bytes(), count * page) << step;
    ASSERT_EQ(kernel(), count * page) << step;
  }
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    if (locked[i]) EXPECT_TRUE(ledger.unlock(at(blocks[i].offset), blocks[i].bytes));
  }
  EXPECT_EQ(ledger.bytes(), 0U);
  EXPECT_EQ(kernel(), 0U);
}

TEST_F(LockLedger, ARefusedLockLeavesEverythingAsItWas) {
  ASSERT_TRUE(lock(100, 50));
  for (const std::size_t offset : {std::size_t{200}, page}) {
    for (const test::os_call call : {test::os_call::mlock, test::os_call::mmap}) {
      for (const int code : {ENOMEM, EPERM, EAGAIN}) {
        test::os_script script;
        script.fail(call, 1, code);
        const bool done = lock(offset, 2 * page);
        EXPECT_EQ(done, script.failed(call) == 0);
        if (done) EXPECT_TRUE(ledger.unlock(at(offset), 2 * page));
        EXPECT_EQ(ledger.bytes(), page);
        EXPECT_EQ(kernel(), page);
      }
    }
  }
  EXPECT_TRUE(ledger.unlock(at(100), 50));
  EXPECT_EQ(kernel(), 0U);
}

TEST_F(LockLedger, WhatIsNotUnlockedIsCountedApart) {
  ASSERT_TRUE(lock(0, 2 * page));
  test::os_script script;
  script.fail(test::os_call::munlock, 1, ENOMEM);
  EXPECT_TRUE(ledger.unlock(at(0), 2 * page));
  EXPECT_EQ(ledger.bytes(), 0U);
  EXPECT_EQ(ledger.refused_bytes(), 2 * page);
  EXPECT_EQ(kernel(), 2 * page) << "until it is unmapped";
}

TEST_F(LockLedger, InAChildNothingIsLocked) {
  ASSERT_TRUE(lock(100, page));
  const unsigned here = ledger.generation();
  const pid_t child = ::fork();
  if (child == 0) {
    const bool forgotten =
        ledger.bytes() == 0 && locks().locked == 0 && ledger.generation() != here && !ledger.unlock(at(100), page);
    const bool goes_on = lock(5000, 10) && ledger.bytes() == locks().locked && ledger.unlock(at(5000), 10);
    ::_exit(forgotten && goes_on ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 0);
  EXPECT_EQ(ledger.generation(), here);
  EXPECT_EQ(kernel(), 2 * page);
  EXPECT_TRUE(ledger.unlock(at(100), page));
}

TEST_F(LockLedger, ThreadsShareItsPages) {
  std::vector<std::thread> crew;
  for (std::size_t t = 0; t < 4; ++t) {
    crew.emplace_back([this, t] {
      for (int i = 0; i < 500; ++i) {
        const std::size_t offset = t * 1000 + (t == 3 ? page : 0);
        EXPECT_TRUE(lock(offset, 900));
        EXPECT_TRUE(ledger.unlock(at(offset), 900));
      }
    });
  }
  for (std::thread& t : crew) t.join();
  EXPECT_EQ(ledger.bytes(), 0U);
  EXPECT_EQ(kernel(), 0U);
}

}  // namespace
}  // namespace strata::mem
