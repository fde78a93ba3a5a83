// SPDX-License-Identifier: Apache-2.0
// Claims (D4 numbers: what the published scheme gets wrong, and the test that would fail): W4-01 each byte of a block
// faults once it was deallocated, whatever its size, and its neighbours on the same physical page do not; no two live
// blocks share a virtual page or a byte of storage, through random lives, at once and in batches; W4-03 what comes back
// wrongly is told and changes nothing; W4-04 a million blocks live within the budget of mappings, and when a budget is
// used up the pool says which and the process can still map; W4-05 deallocating does not fail when the OS refuses
// guards; W4-06 an end takes few calls and gives the addresses to the next pool; W4-07 when addresses serve again is as
// the plan says; W4-08 a child has a copy, or nothing; without guards in the kernel everything holds by protection;
// what is reserved is allocated without a system call; physical memory is that of the slots; a life at once takes one call
// and a share of a mirror's. Slabs without blocks go after the decay and not before, or at once, and what was reserved
// stays; a tick sets guards that wait too long; what the OS refuses to take goes later; trim() gives back zones that hold
// nothing, and a pointer into one is of no block; what a block alone points to is not lost to LeakSanitizer.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include "tests/mem/faults.h"
#include "tests/os_script/os_script.h"
#include "tests/support/random_run.h"
#include "tests/support/sanitizer.h"

#if STRATA_TEST_HAS(address_sanitizer)
#include <sanitizer/lsan_interface.h>
#endif

import strata.mem;
import strata.platform;

namespace strata::mem {
namespace {

using test::fault_catcher;
using test::os_call;
using test::os_script;

constexpr int kGuardInstall = 102;

std::byte* take(shadow_pool& pool, std::size_t bytes, std::size_t alignment = 16) {
  const shadow_pool::served got = pool.allocate(bytes, alignment, 0);
  EXPECT_NE(got.block, nullptr) << static_cast<int>(got.why) << ' ' << got.error.code;
  return static_cast<std::byte*>(got.block);
}

shadow_answer give(shadow_pool& pool, void* p, std::size_t bytes, std::size_t alignment = 16) {
  return pool.deallocate(p, bytes, alignment, 0).answer;
}

// A pattern that depends on where the block is and how large.
void fill(std::byte* p, std::size_t bytes) {
  for (std::size_t i = 0; i < bytes; i += 61) p[i] = static_cast<std::byte>(address(p) >> 4 ^ bytes ^ i);
}
bool is_filled(const std::byte* p, std::size_t bytes) {
  for (std::size_t i = 0; i < bytes; i += 61) {
    if (p[i] != static_cast<std::byte>(address(p) >> 4 ^ bytes ^ i)) return false;
  }
  return true;
}

class ShadowPool : public testing::TestWithParam<std::tuple<bool, bool>> {
 protected:
  // Without guards, the kernel is one that does not know them.
  ShadowPool() {
    if (!guards()) script_.emplace().fail_advice(kGuardInstall, EINVAL);
  }
  [[nodiscard]] static bool guards() { return std::get<0>(GetParam()); }
  [[nodiscard]] static shadow_plan plan() {
    return {.batch_blocks = std::get<1>(GetParam()) ? std::size_t{64} : std::size_t{1}};
  }

  std::optional<os_script> script_;
  fault_catcher catcher_;
};

INSTANTIATE_TEST_SUITE_P(Each, ShadowPool, testing::Combine(testing::Bool(), testing::Bool()),
                         [](const testing::TestParamInfo<std::tuple<bool, bool>>& i) {
                           return std::string(std::get<0>(i.param) ? "guards" : "protection") +
                                  (std::get<1>(i.param) ? "_batched" : "_at_once");
                         });

#if STRATA_TEST_HAS(address_sanitizer)
[[gnu::noinline]] void point_to_a_new_block(void* from) { *static_cast<char**>(from) = new char[5000]; }

TEST_P(ShadowPool, HoldsWhatLeakSanitizerDoesNotTakeForLost) {
  shadow_pool pool(plan());
  ASSERT_FALSE(pool.open().failed());
  for (const std::size_t bytes : {std::size_t{64}, 3 * page_bytes()}) {
    std::byte* const other = take(pool, bytes);
    std::byte* const p = take(pool, bytes);
    std::thread([p] { point_to_a_new_block(p); }).join();  // on a stack that is gone
    EXPECT_EQ(give(pool, other, bytes), shadow_answer::freed);
    pool.flush();
    EXPECT_EQ(__lsan_do_recoverable_leak_check(), 0);
    delete[] *reinterpret_cast<char**>(p);
    EXPECT_EQ(give(pool, p, bytes), shadow_answer::freed);
  }
}
#endif

TEST_P(ShadowPool, MakesEveryByteOfADeallocatedBlockFault) {  // W4-01, D4-04
  shadow_pool pool(plan());
  ASSERT_FALSE(pool.open().failed());
  const std::size_t step = test::under_asan || test::under_tsan ? 61 : 1;
  for (std::size_t bytes = 1; bytes <= 3 * page_bytes(); bytes += step) {
    SCOPED_TRACE(bytes);
    std::byte* const before = take(pool, bytes);
    std::byte* const p = take(pool, bytes);
    std::byte* const after = take(pool, bytes);
    fill(before, bytes);
    fill(p, bytes);
    fill(after, bytes);
    ASSERT_TRUE(is_filled(p, bytes));
    ASSERT_EQ(give(pool, p, bytes), shadow_answer::freed);
    pool.flush();
    ASSERT_TRUE(fault_catcher::faults(p));
    ASSERT_TRUE(fault_catcher::faults(p + bytes / 2));
    ASSERT_TRUE(fault_catcher::faults(p + bytes - 1));
    ASSERT_TRUE(is_filled(before, bytes));
    ASSERT_TRUE(is_filled(after, bytes));
    ASSERT_EQ(give(pool, before, bytes), shadow_answer::freed);
    ASSERT_EQ(give(pool, after, bytes), shadow_answer::freed);
  }
  EXPECT_EQ(pool.check(), nullptr);
  EXPECT_EQ(pool.figures().exposed, 0U);
}

TEST_P(ShadowPool, NeverLetsTwoLiveBlocksShareAPageOrStorage) {  // D4-05, D4-07
  std::mt19937_64 random(test::random_seed());
  shadow_plan wanted = plan();
  wanted.hold = {.reuse = shadow_reuse::quarantine, .bytes = std::size_t{8} << 20};
  shadow_pool pool(wanted);
  ASSERT_FALSE(pool.open().failed());
  struct live {
    std::byte* p;
    std::size_t bytes;
    std::size_t alignment;
  };
  std::vector<live> blocks;
  std::map<std::uintptr_t, std::uintptr_t> pages;  // of live blocks: first, behind the last
  const std::size_t page = page_bytes();
  for (std::size_t step = 0; step < test::random_steps() / 5; ++step) {
    const bool growing = step / 2000 % 2 == 0;
    if (blocks.empty() || random() % 8 < (growing ? 5U : 3U)) {
      const std::size_t bytes = random() % 40 == 0   ? random() % 200'000
                                : random() % 16 == 0 ? random() % 20'000
                                                     : random() % 300;
      const std::size_t alignment = std::size_t{1} << random() % (random() % 50 == 0 ? 18 : 8);
      std::byte* const p = take(pool, bytes, alignment);
      ASSERT_EQ(address(p) % alignment, 0U);
      fill(p, bytes);
      const std::uintptr_t first = address(p) / page;
      const std::uintptr_t end = (address(p) + std::max<std::size_t>(bytes, 1) - 1) / page + 1;
      const auto next = pages.lower_bound(first);
      ASSERT_TRUE(next == pages.end() || next->first >= end);
      ASSERT_TRUE(next == pages.begin() || std::prev(next)->second <= first);
      pages[first] = end;
      blocks.push_back({p, bytes, alignment});
    } else {
      const std::size_t i = random() % blocks.size();
      const live b = blocks[i];
      ASSERT_TRUE(is_filled(b.p, b.bytes));
      ASSERT_EQ(give(pool, b.p, b.bytes, b.alignment), shadow_answer::freed);
      pages.erase(address(b.p) / page);
      blocks[i] = blocks.back();
      blocks.pop_back();
    }
    if (step % 1000 == 0) {
      ASSERT_EQ(pool.check(), nullptr) << pool.check();
      for (const live& b : blocks) ASSERT_TRUE(is_filled(b.p, b.bytes));
    }
  }
  for (const live& b : blocks) {
    ASSERT_TRUE(is_filled(b.p, b.bytes));
    ASSERT_EQ(give(pool, b.p, b.bytes, b.alignment), shadow_answer::freed);
  }
  pool.flush();
  EXPECT_EQ(pool.figures().held, 0U);
  EXPECT_EQ(pool.check(), nullptr);
  EXPECT_GT(pool.trim(), 0U);
  EXPECT_EQ(pool.figures().memory, 0U);
  EXPECT_EQ(pool.check(), nullptr);
}

TEST_P(ShadowPool, TellsWhatComesBackWronglyAndChangesNothing) {  // W4-03
  shadow_pool pool(plan());
  ASSERT_FALSE(pool.open().failed());
  std::byte* const p = take(pool, 100);
  for (int i = 0; i < 20; ++i) take(pool, 100);  // so that there is a second mirror
  std::byte* const large = take(pool, 1 << 20);
  fill(p, 100);
  EXPECT_EQ(give(pool, p, 99), shadow_answer::wrong_size);
  EXPECT_EQ(give(pool, p, 100, 32), shadow_answer::wrong_alignment);
  EXPECT_EQ(give(pool, p + 1, 100), shadow_answer::inside);
  EXPECT_EQ(give(pool, large + (600 << 10), 1 << 20), shadow_answer::inside);
  // Its own storage through another mapping, and a page nothing was ever handed out on.
  EXPECT_EQ(give(pool, p + shadow_space::of_process().strip_bytes(), 100), shadow_answer::no_block);
  EXPECT_TRUE(is_filled(p, 100));
  EXPECT_EQ(give(pool, p, 100), shadow_answer::freed);
  EXPECT_EQ(give(pool, p, 100), shadow_answer::freed_before);
  EXPECT_EQ(give(pool, p + 3, 100), shadow_answer::inside);
  EXPECT_EQ(give(pool, large, 1 << 20), shadow_answer::freed);
  EXPECT_EQ(give(pool, large, 1 << 20), shadow_answer::freed_before);
  EXPECT_TRUE(fault_catcher::faults(large + (1 << 20) - 1));
  EXPECT_EQ(pool.check(), nullptr);
}

TEST_P(ShadowPool, ServesAMillionBlocksWithinItsBudgetOfMappings) {  // W4-04, D4-01
  shadow_pool pool(plan());
  ASSERT_FALSE(pool.open().failed());
  const std::size_t before = platform::mappings_now();
  const std::size_t count = test::under_asan || test::under_tsan ? 100'000 : 1'000'000;
  std::vector<std::byte*> blocks(count);
  for (std::byte*& p : blocks) p = take(pool, 24, 8);
  const std::size_t budget = platform::mapping_limit() / 4;
  EXPECT_LE(pool.figures().mappings, budget);
  EXPECT_LE(platform::mappings_now() - before, pool.figures().mappings + 16);
  // Each second one goes: without guards that is where mappings are split, up to the budget.
  for (std::size_t i = 0; i < count; i += 2) ASSERT_EQ(give(pool, blocks[i], 24, 8), shadow_answer::freed);
  pool.flush();
  EXPECT_LE(platform::mappings_now() - before, budget + 16);
  EXPECT_EQ(pool.figures().exposed == 0, guards() || count < 100'000) << pool.figures().exposed;
  void* const more = ::mmap(nullptr, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  EXPECT_NE(more, MAP_FAILED);
  ::munmap(more, 4096);
  for (std::size_t i = 1; i < count; i += 2) ASSERT_EQ(give(pool, blocks[i], 24, 8), shadow_answer::freed);
  pool.flush();
  EXPECT_EQ(pool.figures().held, 0U);
}

TEST_P(ShadowPool, DeallocatesWhenTheOsRefusesEveryBarrier) {  // W4-05
  script_.reset();
  shadow_pool pool(plan());
  ASSERT_FALSE(pool.open().failed());
  std::vector<std::byte*> blocks;
  for (int i = 0; i < 100; ++i) blocks.push_back(take(pool, 64));
  {
    os_script script;
    script.fail_always(os_call::madvise, ENOMEM);
    script.fail_always(os_call::mprotect, ENOMEM);
    for (std::byte* const p : blocks) ASSERT_EQ(give(pool, p, 64), shadow_answer::freed);
    pool.flush();
  }
  EXPECT_GT(pool.figures().exposed, 0U);
  EXPECT_EQ(pool.figures().held, 0U);
  EXPECT_EQ(pool.check(), nullptr);
}

TEST(ShadowPoolBudgets, AreRefusalsThatNameThemselves) {  // W4-04
  {
    shadow_pool pool({.max_mappings = 8});
    ASSERT_FALSE(pool.open().failed());
    std::size_t served = 0;
    while (pool.allocate(2048, 8, 0).block != nullptr) ++served;
    EXPECT_GT(served, 100U);
    EXPECT_EQ(pool.allocate(2048, 8, 0).why, shadow_refusal::mappings);
  }
  {
    shadow_pool pool({.max_address_bytes = std::size_t{64} << 20});
    ASSERT_FALSE(pool.open().failed());
    std::size_t served = 0;
    for (;;) {
      const shadow_pool::served got = pool.allocate(16, 8, 0);
      if (got.block == nullptr) break;
      ASSERT_EQ(give(pool, got.block, 16, 8), shadow_answer::freed);
      ++served;
    }
    EXPECT_GT(served, 4000U);
    EXPECT_EQ(pool.allocate(16, 8, 0).why, shadow_refusal::addresses);
  }
  {
    shadow_pool pool({.max_memory_bytes = 1 << 20});
    ASSERT_FALSE(pool.open().failed());
    std::size_t served = 0;
    while (pool.allocate(4096, 8, 0).block != nullptr) ++served;
    EXPECT_EQ(served, 256U);
    EXPECT_EQ(pool.allocate(4096, 8, 0).why, shadow_refusal::memory);
    EXPECT_EQ(pool.allocate(1 << 20, 8, 0).why, shadow_refusal::memory);
  }
}

TEST(ShadowPoolSpace, ServesTheNextPoolOnceAPoolEnded) {  // W4-06
  std::set<std::uintptr_t> zones;
  const int rounds = test::under_asan || test::under_tsan ? 20 : 1000;
  for (int round = 0; round < rounds; ++round) {
    shadow_pool pool({.hold = {.reuse = shadow_reuse::at_end}});
    ASSERT_FALSE(pool.open().failed());
    std::vector<std::byte*> blocks(round == 0 ? 100'000 : 500);
    for (std::byte*& p : blocks) {
      p = take(pool, 48);
      fill(p, 48);
    }
    for (const std::byte* p : blocks) ASSERT_TRUE(is_filled(p, 48));
    zones.insert(address(blocks.front()) / shadow_space::of_process().zone_bytes());
    if (round != 0) continue;
    os_script script;
    pool.~shadow_pool();
    const unsigned calls = script.calls(os_call::mmap) + script.calls(os_call::munmap) +
                           script.calls(os_call::mprotect) + script.calls(os_call::madvise);
    EXPECT_LT(calls, 64U);  // not one for each block
    ::new (&pool) shadow_pool({});
  }
  EXPECT_LE(zones.size(), 3U);
}

TEST(ShadowPoolSpace, StaysDeadAsThePlanSays) {  // W4-07
  const fault_catcher catcher;
  const auto block_of_ended_pool = [](const shadow_hold& hold) {
    shadow_pool pool({.name = "ended", .hold = hold});
    EXPECT_FALSE(pool.open().failed());
    return take(pool, 40);
  };
  const auto comes_back = [](const std::byte* p) {
    shadow_pool pool({});
    EXPECT_FALSE(pool.open().failed());
    const std::byte* const q = take(pool, 40);
    return address(p) / shadow_space::of_process().zone_bytes() == address(q) / shadow_space::of_process().zone_bytes();
  };
  std::byte* const never = block_of_ended_pool({.reuse = shadow_reuse::never});
  EXPECT_FALSE(comes_back(never));
  std::byte* const held = block_of_ended_pool({.reuse = shadow_reuse::quarantine, .bytes = std::size_t{4} << 30});
  EXPECT_FALSE(comes_back(held));
  EXPECT_TRUE(fault_catcher::faults(never));
  EXPECT_TRUE(fault_catcher::faults(held));
  EXPECT_STREQ(shadow_space::of_process().known_zone(held)->name.data(), "ended");
  EXPECT_TRUE(shadow_space::of_process().block_at(held).is_there);
  std::byte* const at_end = block_of_ended_pool({.reuse = shadow_reuse::at_end});
  EXPECT_TRUE(fault_catcher::faults(at_end));
  EXPECT_TRUE(comes_back(at_end));
  EXPECT_TRUE(fault_catcher::faults(held));
}

TEST(ShadowPoolSpace, ServesAgainAfterTheQuarantine) {
  shadow_pool pool({.max_address_bytes = std::size_t{128} << 20,
                    .hold = {.reuse = shadow_reuse::quarantine, .bytes = std::size_t{16} << 20}});
  ASSERT_FALSE(pool.open().failed());
  for (int i = 0; i < 300'000; ++i) {
    std::byte* const p = take(pool, 64);
    ASSERT_NE(p, nullptr);
    ASSERT_EQ(give(pool, p, 64), shadow_answer::freed);
  }
  EXPECT_LE(pool.figures().addresses, std::size_t{128} << 20);
  EXPECT_EQ(pool.check(), nullptr);
}

TEST(ShadowPoolReserve, LetsBlocksBeAllocatedWithoutASystemCall) {  // D4-02
  shadow_pool pool({});
  ASSERT_FALSE(pool.open().failed());
  ASSERT_EQ(pool.reserve(64, 8, 4000).why, shadow_refusal::none);
  os_script script;
  std::vector<std::byte*> blocks(4000);
  for (std::byte*& p : blocks) {
    p = take(pool, 64, 8);
    *p = std::byte{1};
  }
  EXPECT_EQ(script.calls(os_call::mmap), 0U);
  EXPECT_EQ(script.calls(os_call::madvise), 0U);
  EXPECT_EQ(pool.check(), nullptr);
}

TEST(ShadowPoolMemory, IsThatOfTheSlots) {  // W4-02
  for (const std::size_t bytes : {16U, 48U, 100U, 512U, 1500U, 3000U, 4096U, 10'000U}) {
    shadow_pool pool({});
    ASSERT_FALSE(pool.open().failed());
    const std::size_t count = std::min<std::size_t>(100'000, (std::size_t{64} << 20) / bytes);
    for (std::size_t i = 0; i < count; ++i) take(pool, bytes);
    const shadow_figures now = pool.figures();
    EXPECT_LE(static_cast<double>(now.memory), static_cast<double>(now.held) * 1.05 + (64 << 10)) << bytes;
  }
}

TEST(ShadowPoolCalls, AreOneForALifeAndAShareOfAMirror) {  // D4-02
  shadow_pool pool({.decay = decay_period(60'000)});
  ASSERT_FALSE(pool.open().failed());
  if (pool.protects()) GTEST_SKIP() << "this kernel knows no guards for objects";
  constexpr unsigned lives = 10'000;
  os_script script;
  for (unsigned i = 0; i < lives; ++i) {
    std::byte* const p = take(pool, 64);
    ASSERT_EQ(give(pool, p, 64), shadow_answer::freed);
  }
  // 16 pages are open: of each mirror the mapping, its entries, and its end.
  EXPECT_LE(script.calls(os_call::madvise), lives + lives / 16 + 16);
  EXPECT_LE(script.calls(os_call::mmap), 2 * (lives / 16) + 16);
  EXPECT_LE(script.calls(os_call::mprotect), 8U) << "records of a zone each";
  EXPECT_EQ(pool.figures().calls, lives);
}

// --- giving back -----------------------------------------------------------------------------------------------------

constexpr std::uint64_t ms = 1'000'000;
constexpr std::uint64_t ahead = std::uint64_t{1} << 60;  // of the real clock, which is then left alone
constexpr shadow_hold soon{.reuse = shadow_reuse::quarantine, .bytes = std::size_t{1} << 20};

// Some slabs' worth of blocks, and none.
void use(shadow_pool& pool, std::size_t count = 2000) {
  std::vector<std::byte*> blocks(count);
  for (std::byte*& p : blocks) p = take(pool, 700);
  for (std::byte* const p : blocks) EXPECT_EQ(give(pool, p, 700), shadow_answer::freed);
}

TEST(ShadowPoolDecay, GivesBackAfterItsTimeAndNotBefore) {
  shadow_pool pool({.hold = soon, .decay = decay_period(100)});
  ASSERT_FALSE(pool.open().failed());
  pool.tick(ahead);
  use(pool);
  const shadow_figures before = pool.figures();
  EXPECT_GT(before.memory, std::size_t{1} << 20);
  for (std::uint64_t t = 1; t <= 100; ++t) {
    ASSERT_EQ(pool.tick(ahead + t * ms), 0U) << t;
    ASSERT_EQ(pool.figures().memory, before.memory) << t;
  }
  std::size_t freed = 0;
  for (std::uint64_t t = 101; t <= 127; ++t) freed += pool.tick(ahead + t * ms);
  EXPECT_EQ(freed, before.memory);
  EXPECT_EQ(pool.figures().memory, 0U);
  EXPECT_LE(pool.figures().mappings, before.mappings);
  EXPECT_EQ(pool.check(), nullptr);
  for (std::uint64_t t = 128; t <= 260; ++t) EXPECT_EQ(pool.tick(ahead + t * ms), 0U);
  EXPECT_LE(pool.figures().addresses, shadow_space::of_process().zone_bytes()) << "zones that are free, too";
  use(pool);
  EXPECT_EQ(pool.check(), nullptr);
}

TEST(ShadowPoolDecay, LeavesWhatIsOfUseAndWhatIsReserved) {
  shadow_pool pool({.decay = decay_period(100)});
  ASSERT_FALSE(pool.open().failed());
  pool.tick(ahead);
  ASSERT_EQ(pool.reserve(10'000, 16, 100).why, shadow_refusal::none);
  use(pool);
  for (std::uint64_t t = 0; t < 20; ++t) {
    use(pool);
    EXPECT_EQ(pool.tick(ahead + t * 90 * ms), 0U) << t;
  }
  const std::size_t all = pool.figures().memory;
  std::size_t freed = 0;
  for (std::uint64_t t = 0; t < 20; ++t) freed += pool.tick(ahead + (2000 + t * 90) * ms);
  EXPECT_EQ(pool.figures().memory, all - freed);
  EXPECT_GE(pool.figures().memory, 100U * 10'000);
  EXPECT_LT(pool.figures().memory, 200U * 10'000) << "and no more";
  EXPECT_EQ(pool.trim(), all - freed) << "until trim()";
}

TEST(ShadowPoolDecay, OfZeroIsAtOnce) {
  shadow_pool pool({.decay = decay_period(0)});
  ASSERT_FALSE(pool.open().failed());
  use(pool);
  EXPECT_EQ(pool.figures().memory, 0U);
  EXPECT_EQ(pool.check(), nullptr);
  std::byte* const p = take(pool, 700);
  fill(p, 700);
  use(pool);
  EXPECT_TRUE(is_filled(p, 700));
  EXPECT_GT(pool.figures().memory, 0U) << "its slab stays";
  EXPECT_EQ(give(pool, p, 700), shadow_answer::freed);
  EXPECT_EQ(pool.figures().memory, 0U);
  EXPECT_EQ(pool.check(), nullptr);
}

TEST(ShadowPoolDecay, LooksByItselfWhereBlocksComeAndGo) {
  shadow_pool pool({.decay = decay_period(1)});
  ASSERT_FALSE(pool.open().failed());
  use(pool);
  const std::size_t kept = pool.figures().memory;
  const std::uint64_t end = monotonic_ns() + 600'000 * ms;
  while (pool.figures().memory >= kept && monotonic_ns() < end) {  // another class: its blocks come and go
    EXPECT_EQ(give(pool, take(pool, 16), 16), shadow_answer::freed);
  }
  EXPECT_LT(pool.figures().memory, kept);
}

TEST(ShadowPoolDecay, TriesAgainWhatTheOsDidNotTake) {
  shadow_pool pool({.decay = decay_period(100)});
  ASSERT_FALSE(pool.open().failed());
  pool.tick(ahead);
  use(pool);
  const std::size_t all = pool.figures().memory;
  pool.tick(ahead + ms);
  {
    os_script script;
    script.fail_always(os_call::fallocate, ENOSYS);
    EXPECT_EQ(pool.tick(ahead + 200 * ms), 0U);
    EXPECT_EQ(pool.figures().memory, all);
    EXPECT_EQ(pool.check(), nullptr);
  }
  EXPECT_EQ(pool.tick(ahead + 201 * ms), all);
}

TEST(ShadowPoolDecay, IsNoneUnlessAskedButATickSetsGuardsThatWait) {
  const fault_catcher catcher;
  shadow_pool pool({.batch_blocks = 64, .batch_nanoseconds = 1000 * ms});
  ASSERT_FALSE(pool.open().failed());
  use(pool, 64);
  std::byte* const p = take(pool, 700);
  ASSERT_EQ(give(pool, p, 700), shadow_answer::freed);
  EXPECT_EQ(pool.tick(0), 0U);
  EXPECT_EQ(pool.figures().waiting, 1U);
  const std::size_t all = pool.figures().memory;
  EXPECT_EQ(pool.tick(ahead), 0U);
  EXPECT_EQ(pool.tick(2 * ahead), 0U);
  EXPECT_EQ(pool.figures().waiting, 0U);
  EXPECT_TRUE(fault_catcher::faults(p));
  EXPECT_EQ(pool.figures().memory, all);
}

TEST(ShadowPoolDecay, MayComeWhileThreadsWork) {
  shadow_pool pool({.batch_blocks = 16, .hold = soon, .decay = decay_period(0)});
  ASSERT_FALSE(pool.open().failed());
  std::atomic<int> running{3};
  std::vector<std::thread> crew;
  for (int t = 0; t < 3; ++t) {
    crew.emplace_back([&pool, &running, t] {
      for (int round = 0; round < 30; ++round) {
        std::array<std::byte*, 100> blocks{};
        const std::size_t bytes = std::size_t{100} << t;
        for (std::byte*& p : blocks) {
          p = take(pool, bytes);
          fill(p, bytes);
        }
        for (std::byte* const p : blocks) {
          EXPECT_TRUE(is_filled(p, bytes));
          EXPECT_EQ(give(pool, p, bytes), shadow_answer::freed);
        }
      }
      running.fetch_sub(1);
    });
  }
  for (std::uint64_t t = 0; running.load() != 0; ++t) {
    pool.tick(t * ms);
    if (t % 8 == 0) pool.trim();
    std::this_thread::yield();
  }
  for (std::thread& t : crew) t.join();
  pool.trim();
  EXPECT_EQ(pool.figures().memory, 0U);
  EXPECT_EQ(pool.check(), nullptr);
}

TEST(ShadowPoolTrim, GivesBackZonesThatHoldNothing) {
  shadow_pool pool({.hold = soon});
  ASSERT_FALSE(pool.open().failed());
  std::vector<std::byte*> blocks(40'000);
  for (std::byte*& p : blocks) p = take(pool, 16);
  const std::size_t zone = shadow_space::of_process().zone_bytes();
  EXPECT_GE(pool.figures().addresses, 3 * zone);
  for (std::byte* const p : blocks) ASSERT_EQ(give(pool, p, 16), shadow_answer::freed);
  EXPECT_GT(pool.trim(), 0U);
  EXPECT_LE(pool.figures().addresses, zone) << "what is in quarantine lies together";
  EXPECT_EQ(pool.check(), nullptr);
  EXPECT_FALSE(pool.owns(blocks.front()));
  EXPECT_EQ(give(pool, blocks.front(), 16), shadow_answer::no_block);
  // Another has the zone, and a block where the old one was: it is none of this pool's.
  shadow_pool other({.hold = soon});
  ASSERT_FALSE(other.open().failed());
  std::byte* const theirs = take(other, 16);
  EXPECT_EQ(give(pool, theirs, 16), shadow_answer::no_block);
  EXPECT_EQ(give(other, theirs, 16), shadow_answer::freed);
}

TEST(ShadowPoolKernel, AnswersForADanglingPointerWithAnError) {  // D4-09
  shadow_pool pool({});
  ASSERT_FALSE(pool.open().failed());
  std::byte* const p = take(pool, 64);
  ASSERT_EQ(give(pool, p, 64), shadow_answer::freed);
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe(ends.data()), 0);
  EXPECT_EQ(::syscall(SYS_write, ends[1], p, 64), -1);
  EXPECT_EQ(errno, EFAULT);
  for (const int end : ends) ::close(end);
}

TEST(ShadowPoolThreads, ServeEachOther) {  // D4-06
  for (const std::size_t batch : {std::size_t{1}, std::size_t{32}}) {
    shadow_pool pool(
        {.batch_blocks = batch, .hold = {.reuse = shadow_reuse::quarantine, .bytes = std::size_t{4} << 20}});
    ASSERT_FALSE(pool.open().failed());
    std::array<std::atomic<std::byte*>, 64> exchange{};
    std::vector<std::thread> crew;
    for (int t = 0; t < 4; ++t) {
      crew.emplace_back([&, t] {
        std::mt19937_64 random(static_cast<std::uint64_t>(t));
        for (int i = 0; i < 5000; ++i) {
          std::byte* const p = take(pool, 32);
          fill(p, 32);
          std::byte* const other = exchange[random() % exchange.size()].exchange(p);
          if (other == nullptr) continue;
          EXPECT_TRUE(is_filled(other, 32));
          EXPECT_EQ(give(pool, other, 32), shadow_answer::freed);
        }
      });
    }
    for (std::thread& t : crew) t.join();
    for (auto& p : exchange) {
      if (p != nullptr) EXPECT_EQ(give(pool, p, 32), shadow_answer::freed);
    }
    pool.flush();
    EXPECT_EQ(pool.figures().held, 0U);
    EXPECT_EQ(pool.check(), nullptr);
  }
}

// Runs `body` in a child; true when it returned true there.
template <class Body>
bool in_child(const Body& body) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(body() ? 0 : 1);
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

TEST_P(ShadowPool, GivesAChildACopyOfItsOwn) {  // W4-08, D4-03
  shadow_pool pool(plan());
  ASSERT_FALSE(pool.open().failed());
  std::vector<std::byte*> blocks;
  for (int i = 0; i < 1000; ++i) {
    blocks.push_back(take(pool, 80));
    fill(blocks.back(), 80);
  }
  std::byte* const large = take(pool, 100'000);
  fill(large, 100'000);
  std::byte* const dead = take(pool, 80);
  ASSERT_EQ(give(pool, dead, 80), shadow_answer::freed);
  pool.flush();
  EXPECT_TRUE(in_child([&] {
    bool good = pool.check() == nullptr && fault_catcher::faults(dead) && is_filled(large, 100'000);
    for (std::byte* const p : blocks) {
      good = good && is_filled(p, 80);
      std::memset(p, 0xEE, 80);
      good = good && give(pool, p, 80) == shadow_answer::freed;
    }
    std::memset(large, 0xEE, 100'000);
    good = good && give(pool, large, 100'000) == shadow_answer::freed;
    pool.flush();
    good = good && fault_catcher::faults(blocks.front()) && fault_catcher::faults(large);
    std::byte* const fresh = take(pool, 80);
    std::memset(fresh, 0xDD, 80);
    return good && pool.check() == nullptr && !pool.is_forked_off();
  }));
  for (const std::byte* const p : blocks) ASSERT_TRUE(is_filled(p, 80));
  EXPECT_TRUE(is_filled(large, 100'000));
  EXPECT_TRUE(fault_catcher::faults(dead));
  EXPECT_EQ(pool.check(), nullptr);
}

TEST(ShadowPoolFork, LeavesAChildNothingWhereThePlanOrTheOsHasItSo) {  // W4-08
  const fault_catcher catcher;
  for (const bool wanted : {false, true}) {
    shadow_pool pool({.copy_at_fork = wanted});
    ASSERT_FALSE(pool.open().failed());
    std::byte* const p = take(pool, 80);
    fill(p, 80);
    std::optional<os_script> script;
    if (wanted) script.emplace().fail(os_call::memfd_create, 1, EMFILE);
    EXPECT_TRUE(in_child([&] {
      return pool.is_forked_off() && fault_catcher::faults(p) &&
             pool.allocate(80, 16, 0).why == shadow_refusal::forked && give(pool, p, 80) == shadow_answer::freed;
    }));
    EXPECT_FALSE(pool.is_forked_off());
    EXPECT_TRUE(is_filled(p, 80));
    EXPECT_EQ(give(pool, p, 80), shadow_answer::freed);
  }
}

TEST(ShadowPoolRefused, SaysWhichCallWasAndServesNothing) {
  for (const auto& [call, code] : {std::pair{os_call::memfd_create, EMFILE}, std::pair{os_call::ftruncate, EFBIG}}) {
    os_script script;
    script.fail_always(call, code);
    shadow_pool pool({});
    EXPECT_EQ(pool.open().code, code);
    EXPECT_EQ(pool.allocate(16, 8, 0).block, nullptr);
  }
}

TEST(ShadowPoolRefused, LosesNothingWhenAnyCallFails) {
  for (const os_call call : {os_call::mmap, os_call::madvise}) {
    const unsigned met = test::fail_each(call, {ENOMEM}, [](os_script&) {
      shadow_pool pool({});
      if (pool.open().failed()) return;
      std::vector<void*> blocks;
      for (int i = 0; i < 300; ++i) {
        if (void* const p = pool.allocate(700, 8, 0).block; p != nullptr) blocks.push_back(p);
      }
      if (void* const p = pool.allocate(100'000, 8, 0).block; p != nullptr)
        EXPECT_EQ(give(pool, p, 100'000, 8), shadow_answer::freed);
      for (void* const p : blocks) EXPECT_EQ(give(pool, p, 700, 8), shadow_answer::freed);
      EXPECT_EQ(pool.figures().held, 0U);
      EXPECT_EQ(pool.check(), nullptr);
    });
    EXPECT_GT(met, 3U);
  }
}

}  // namespace
}  // namespace strata::mem
