// SPDX-License-Identifier: Apache-2.0
// Claims: W4-01 the report of a fault names pool, block, byte, both stacks and both threads; W4-02 physical memory is
// that of the same slots alone; W4-03 each wrong deallocation is a sentence of its own, with both stacks, and harms
// nothing; W4-04 when a budget is used up, upstream serves, the report says so, and sampling makes what is left last;
// W4-07 a block of a memory that ended is still known; W4-08 a child works on with a copy, or without; one in n is
// drawn, and the rest is upstream's; figures add up; what cannot be is refused when it is made; standard containers
// live on it; what is of no use goes back after the decay, in a stack too, and nothing does without one.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <list>
#include <map>
#include <memory_resource>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "tests/os_script/os_script.h"
#include "tests/support/recording_resource.h"
#include "tests/support/regular_expression.h"
#include "tests/support/sanitizer.h"

import strata.mem;
import strata.pmr;

// Plain names, to be found in a stack, and not inlined. What they do after a call keeps it from becoming a jump.
extern "C" {
[[gnu::noinline]] void* strata_test_allocates(std::pmr::memory_resource& memory, std::size_t bytes) {
  void* const p = memory.allocate(bytes, 16);
  static_cast<unsigned char*>(p)[0] = 0;
  return p;
}
[[gnu::noinline]] int strata_test_frees(std::pmr::memory_resource& memory, void* p, std::size_t bytes) {
  memory.deallocate(p, bytes, 16);
  return 1;
}
}

namespace strata::pmr {
namespace {

using guarded_slabs = stack<pages, slabs, shadow>;

// What was reported last.
thread_local std::string told;
thread_local std::string printed;

void keep(void* to, const char* text, std::size_t bytes) noexcept {
  static_cast<std::string*>(to)->append(text, bytes);
}

struct listener {
  listener() {
    told.clear();
    set_misuse_handler([](const misuse& what) {
      told = std::string(what.layer) + ": " + what.sentence;
      if (what.detail != nullptr) told += std::string(": ") + what.detail;
      printed.clear();
      print_misuse(what, {&keep, &printed});
    });
  }
  ~listener() { set_misuse_handler(nullptr); }
};

TEST(ShadowResource, TellsWhatComesBackWronglyAndHarmsNothing) {  // W4-03
  const listener listening;
  guarded_slabs memory(pages{}, slabs{}, shadow{.name = "sessions"});
  auto* const p = static_cast<unsigned char*>(strata_test_allocates(memory, 48));
  p[47] = 7;
  memory.deallocate(p, 49, 16);
  EXPECT_EQ(told, "sessions: a block comes back with another size than it was allocated with");
  memory.deallocate(p, 48, 8);
  EXPECT_EQ(told, "sessions: a block comes back with another alignment than it was allocated with");
  memory.deallocate(p + 16, 48, 16);
  EXPECT_EQ(told, "sessions: a pointer comes back that lies inside a block and is not its start");
  memory.deallocate(p + 4 * 4096, 48, 16);
  EXPECT_EQ(told, "sessions: a pointer comes back that is of no block: no block was ever handed out there");
  EXPECT_EQ(p[47], 7);
  strata_test_frees(memory, p, 48);
  memory.deallocate(p, 48, 16);
  EXPECT_EQ(told, "sessions: a block comes back that was deallocated before");
  const test::regular_expression stacks(
      "allocated by thread [0-9]+\n      #0 0x[0-9a-f]+ strata_test_allocates\n.*"
      "deallocated by thread [0-9]+\n      #0 0x[0-9a-f]+ strata_test_frees\n");
  EXPECT_TRUE(stacks.is_in(printed)) << printed;
  EXPECT_EQ(memory.stats().live_blocks, 0U);
  EXPECT_FALSE(memory.check().found());
}

TEST(ShadowResource, TellsTheBlockOfAnother) {
  const listener listening;
  guarded_slabs here(pages{}, slabs{}, shadow{.name = "here"});
  guarded_slabs there(pages{}, slabs{}, shadow{.name = "there"});
  void* const p = there.allocate(40, 8);
  here.deallocate(p, 40, 8);
  EXPECT_EQ(told, "here: a block comes back that is of another memory: there");
  there.deallocate(p, 40, 8);
}

// --- faults ----------------------------------------------------------------------------------------------------------

constexpr const char* address = "0x[0-9a-f]+";

std::string report_of(const std::string& sentence, const std::string& byte) {
  const std::string a = address;
  return "strata: sessions: " + sentence + " \\(block " + a + ", 48 bytes aligned to 16, thread [0-9]+\\)\n  byte " +
         a + " is number " + byte + " of it, counted from 0\n  block " + a +
         ", 48 bytes aligned to 16\n    allocated by thread [0-9]+\n      #0 " + a +
         " strata_test_allocates\n(      #.*\n)*    deallocated by thread [0-9]+\n      #0 " + a +
         " strata_test_frees\n";
}

struct ShadowResourceDeathTest : testing::Test {
  // In the child of a death test.
  void listen() const { static_cast<void>(report_faults({.under_asan = true})); }

  guarded_slabs memory{pages{}, slabs{}, shadow{.name = "sessions"}};
  volatile unsigned char* const p = static_cast<unsigned char*>(strata_test_allocates(memory, 48));
  int freed = 0;
  void free() {
    std::thread([this] { freed = strata_test_frees(memory, const_cast<unsigned char*>(p), 48); }).join();
  }
};

TEST_F(ShadowResourceDeathTest, NamesALoadFromADanglingPointer) {  // W4-01
  free();
  const auto use = [this] {
    listen();
    return p[8];
  };
  EXPECT_DEATH(static_cast<void>(use()), report_of("use after free: a load from a block that was deallocated", "8"));
}

TEST_F(ShadowResourceDeathTest, NamesAStoreThroughADanglingPointer) {  // W4-01
  free();
  const auto use = [this] {
    listen();
    p[47] = 1;
  };
  EXPECT_DEATH(use(), report_of("use after free: a store to a block that was deallocated", "47"));
}

TEST_F(ShadowResourceDeathTest, NamesItInAnotherThreadToo) {  // W4-09
  free();
  const auto use = [this] {
    listen();
    std::thread([this] { p[0] = 1; }).join();
  };
  EXPECT_DEATH(use(), report_of("use after free: a store to a block that was deallocated", "0"));
}

TEST_F(ShadowResourceDeathTest, NamesABlockOfAMemoryThatEnded) {  // W4-07
  volatile unsigned char* q = nullptr;
  {
    guarded_slabs shorter(pages{}, slabs{}, shadow{.name = "shorter"});
    q = static_cast<unsigned char*>(strata_test_allocates(shorter, 100));
  }
  const auto use = [&] {
    listen();
    return q[9];
  };
  EXPECT_DEATH(static_cast<void>(use()),
               "strata: shorter: use after its memory ended: a load from a block (.|\n)*strata_test_allocates");
  free();
}

TEST_F(ShadowResourceDeathTest, SaysNothingOfFaultsElsewhere) {
  free();
  const auto use = [this] {
    listen();
    *reinterpret_cast<volatile int*>(16) = 1;  // NOLINT
  };
  if (test::under_asan || test::under_tsan) GTEST_SKIP() << "the sanitizer explains it, and exits";
  EXPECT_EXIT(use(), testing::KilledBySignal(SIGSEGV), "^$");
}

// --- budgets and sampling --------------------------------------------------------------------------------------------

TEST(ShadowResource, LetsUpstreamServeWhenABudgetIsUsedUpAndSaysSo) {  // W4-04
  test::recording_resource upstream;
  shadow_resource<> memory(&upstream, {.max_mappings = 4});
  std::vector<void*> blocks;
  for (int i = 0; i < 2000; ++i) blocks.push_back(memory.allocate(2048, 16));
  EXPECT_GT(memory.unguarded(), 0U);
  EXPECT_EQ(upstream.live().blocks, memory.unguarded());
  std::array<degradation, 4> states{};
  ASSERT_GE(memory.degraded(states), 1U);
  EXPECT_NE(std::string(states[0].reason).find("raise max_mappings"), std::string::npos);
  EXPECT_EQ(states[0].times, memory.unguarded());
  EXPECT_EQ(memory.stats().live, 2000U * 2048);
  for (void* const p : blocks) memory.deallocate(p, 2048, 16);
  EXPECT_EQ(upstream.live().blocks, 0U);
  EXPECT_EQ(memory.stats().live, 0U);
}

TEST(ShadowResource, ShadowsFewerBlocksWhenItIsToldToMakeItLast) {  // W4-04
  shadow_resource<> memory(std::pmr::new_delete_resource(),
                           {.max_mappings = 4, .when_short = shadow_shortage::sampled});
  std::vector<void*> blocks;
  for (int i = 0; i < 4000; ++i) blocks.push_back(memory.allocate(2048, 16));
  EXPECT_GT(memory.one_in(), 1U);
  EXPECT_LT(memory.unguarded(), 2000U);
  for (void* const p : blocks) memory.deallocate(p, 2048, 16);
}

TEST(ShadowResource, DrawsOneInN) {
  test::recording_resource upstream;
  shadow_resource<> memory(&upstream, {.one_in = 100});
  std::size_t shadowed = 0;
  for (int i = 0; i < 100'000; ++i) {
    void* const p = memory.allocate(64, 16);
    if (memory.shadows(p)) ++shadowed;
    memory.deallocate(p, 64, 16);
  }
  EXPECT_GT(shadowed, 800U);
  EXPECT_LT(shadowed, 1200U);
  EXPECT_EQ(upstream.live().blocks, 0U);
}

TEST(ShadowResource, AddsUpItsFigures) {
  test::recording_resource upstream;
  shadow_resource<> memory(&upstream, {.one_in = 2});
  std::vector<void*> blocks;
  for (int i = 0; i < 1000; ++i) {
    blocks.push_back(memory.allocate(100, 16));
    const statistics now = memory.stats();
    ASSERT_EQ(now.upstream, now.live + now.kept + now.overhead);
    ASSERT_EQ(now.live, blocks.size() * 100);
    ASSERT_EQ(now.live_blocks, blocks.size());
  }
  for (void* const p : blocks) {
    memory.deallocate(p, 100, 16);
    const statistics now = memory.stats();
    ASSERT_EQ(now.upstream, now.live + now.kept + now.overhead);
  }
  EXPECT_GT(memory.trim(), 0U);
  EXPECT_EQ(memory.stats().upstream, 0U);
}

TEST(ShadowResource, CountsWhatItsUpstreamServesInAStack) {
  stack memory(pages{}, slabs{}, shadow{.one_in = 10});
  std::vector<void*> blocks;
  for (int i = 0; i < 1000; ++i) blocks.push_back(memory.allocate(100, 16));
  EXPECT_EQ(memory.top().stats().live, 100'000U);
  EXPECT_EQ(memory.top().stats().live_blocks, 1000U);
  for (void* const p : blocks) memory.deallocate(p, 100, 16);
  EXPECT_EQ(memory.top().stats().live, 0U);
}

TEST(ShadowResource, WaitsInBatchesAndShowsIt) {
  guarded_slabs memory(pages{}, slabs{}, shadow{.guards = shadow_guards::batched, .batch_blocks = 8});
  for (int i = 0; i < 7; ++i) memory.deallocate(memory.allocate(100, 16), 100, 16);
  EXPECT_EQ(memory.top().figures().waiting, 7U);
  memory.deallocate(memory.allocate(100, 16), 100, 16);
  EXPECT_EQ(memory.top().figures().waiting, 0U);
  EXPECT_EQ(memory.top().figures().guarded, 8U);
  EXPECT_EQ(memory.top().figures().calls, 1U);  // neighbours, one guard
}

// --- memory ----------------------------------------------------------------------------------------------------------

// The proportional share of this process's resident memory, bytes: shared pages count once, however often they are mapped.
std::size_t proportional_bytes() {
  std::FILE* const file = std::fopen("/proc/self/smaps_rollup", "r");
  if (file == nullptr) return 0;
  std::array<char, 256> line{};
  std::size_t kib = 0;
  while (std::fgets(line.data(), line.size(), file) != nullptr) {
    if (std::sscanf(line.data(), "Pss: %zu kB", &kib) == 1) break;
  }
  std::fclose(file);
  return kib << 10;
}

TEST(ShadowResource, TakesThePhysicalMemoryOfThePlainSlabs) {  // W4-02
  if (test::under_asan || test::under_tsan) GTEST_SKIP() << "the sanitizer's own memory counts too";
  if (proportional_bytes() == 0) GTEST_SKIP() << "no smaps_rollup";
  for (const std::size_t bytes : {48U, 100U, 1024U, 3000U}) {
    const std::size_t count = (std::size_t{48} << 20) / bytes;
    const auto fill = [&](std::pmr::memory_resource& memory) {
      const std::size_t before = proportional_bytes();
      for (std::size_t i = 0; i < count; ++i) static_cast<unsigned char*>(memory.allocate(bytes, 16))[0] = 1;
      return proportional_bytes() - before;
    };
    std::size_t plain = 0;
    std::size_t shadowed = 0;
    {
      stack memory(pages{}, slabs{});
      plain = fill(memory);
    }
    {
      guarded_slabs memory(pages{}, slabs{}, shadow{.stack_depth = 0});
      shadowed = fill(memory);
      EXPECT_GE(memory.top().figures().addresses / 4096, count);
    }
    const std::size_t records =
        count * 16;  // and nothing else that grows with blocks but page tables, which no one counts
    EXPECT_LE(static_cast<double>(shadowed), static_cast<double>(plain) * 1.05 + static_cast<double>(records) * 1.3)
        << bytes << " bytes: " << plain << ' ' << shadowed;
  }
}

TEST(ShadowResource, GivesBackWhatWasOfNoUseForItsDecay) {
  constexpr std::uint64_t ms = 1'000'000;
  constexpr std::uint64_t ahead = std::uint64_t{1} << 60;  // of the real clock, which is then left alone
  for (const std::size_t decay_ms : {std::size_t{100}, mem::no_decay}) {
    guarded_slabs memory(pages{}, slabs{},
                         shadow{.guards = shadow_guards::batched, .batch_ms = 1, .decay_ms = decay_ms});
    memory.tick(ahead);
    std::vector<void*> blocks;
    for (int i = 0; i < 4000; ++i) blocks.push_back(memory.allocate(500, 16));
    for (void* const p : blocks) memory.deallocate(p, 500, 16);
    memory.tick(ahead + ms);
    EXPECT_EQ(memory.top().figures().waiting, 0U) << "a tick sets guards that waited";
    const std::size_t kept = memory.top().stats().kept;
    EXPECT_GE(kept, 4000U * 500);
    for (std::uint64_t t = 2; t <= 100; ++t) memory.tick(ahead + t * ms);
    EXPECT_EQ(memory.top().stats().kept, kept);
    for (std::uint64_t t = 101; t <= 126; ++t) memory.tick(ahead + t * ms);
    EXPECT_EQ(memory.top().stats().kept, decay_ms == 100 ? 0 : kept);
    EXPECT_EQ(memory.top().tick(), 0U);
    EXPECT_FALSE(memory.check().found());
  }
}

TEST(ShadowResource, TellsAPointerIntoAddressesThatWentBack) {
  const listener listening;
  guarded_slabs memory(pages{}, slabs{}, shadow{.name = "sessions", .hold_bytes = 1 << 18});
  std::vector<void*> blocks;
  for (int i = 0; i < 40'000; ++i) blocks.push_back(memory.allocate(16, 16));
  for (void* const p : blocks) memory.deallocate(p, 16, 16);
  memory.top().trim();
  memory.deallocate(blocks.front(), 16, 16);
  EXPECT_EQ(told, "sessions: a pointer comes back that is of no block");
}

// --- fork, containers, options ---------------------------------------------------------------------------------------

template <class Body>
bool in_child(const Body& body) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(body() ? 0 : 1);
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

TEST(ShadowResource, WorksOnInAChildWithACopyOrWithout) {  // W4-08
  for (const bool copies : {true, false}) {
    guarded_slabs memory(pages{}, slabs{}, shadow{.copy_at_fork = copies});
    std::pmr::map<int, std::pmr::string> names(&memory);
    for (int i = 0; i < 500; ++i) names.emplace(i, std::string(50, 'x'));
    EXPECT_TRUE(in_child([&] {
      if (copies) {
        for (auto& [number, name] : names) name = "the child's, longer than what fits into a string itself";
        names.clear();
      }
      void* const p = memory.allocate(64, 16);
      memory.deallocate(p, 64, 16);
      return memory.top().shadows(p) == copies && !memory.check().found();
    }));
    for (const auto& [number, name] : names) ASSERT_EQ(std::string(name), std::string(50, 'x'));
  }
}

TEST(ShadowResource, CarriesContainers) {
  guarded_slabs memory(pages{}, slabs{}, shadow{});
  std::pmr::list<std::pmr::vector<int>> lists(&memory);
  for (int i = 0; i < 200; ++i) {
    lists.emplace_back();
    for (int k = 0; k < i; ++k) lists.back().push_back(k);
  }
  lists.remove_if([](const auto& l) { return l.size() % 3 == 0; });
  for (const auto& l : lists) {
    for (std::size_t k = 0; k < l.size(); ++k) ASSERT_EQ(l[k], static_cast<int>(k));
  }
  EXPECT_FALSE(memory.check().found());
}

TEST(ShadowResource, RefusesWhatCannotBeWhenItIsMade) {
  std::pmr::memory_resource* const any = std::pmr::new_delete_resource();
  EXPECT_THROW(shadow_resource<>(any, {.one_in = 0}), std::invalid_argument);
  EXPECT_THROW(shadow_resource<>(any, {.stack_depth = 33}), std::invalid_argument);
  EXPECT_THROW(shadow_resource<>(any, {.guards = shadow_guards::batched, .batch_blocks = 0}), std::invalid_argument);
  EXPECT_THROW(shadow_resource<>(any, {.hold_bytes = 0}), std::invalid_argument);
  test::os_script script;
  script.fail_always(test::os_call::memfd_create, ENOSYS);
  EXPECT_THROW(shadow_resource<>(any, {.strict = true}), allocation_error);
  shadow_resource<> lenient(any);
  EXPECT_EQ(lenient.unguarded(), 0U);
  void* const p = lenient.allocate(10, 1);
  EXPECT_FALSE(lenient.shadows(p));
  lenient.deallocate(p, 10, 1);
  EXPECT_EQ(lenient.unguarded(), 1U);
  std::array<degradation, 4> states{};
  ASSERT_GE(lenient.degraded(states), 2U);
  for (const degradation& state : {states[0], states[1]}) EXPECT_EQ(state.cause.code, ENOSYS) << state.reason;
}

TEST(ShadowResource, SaysWhenItEndsWithLiveBlocksIfToldTo) {
  const listener listening;
  {
    guarded_slabs memory(pages{}, slabs{}, shadow{.name = "sessions", .live_at_end_is_misuse = true});
    static_cast<void>(memory.allocate(10, 1));
  }
  EXPECT_EQ(told, "sessions: destroyed with live blocks: all of them fault from now on: upstream \"slabs\"");
}

}  // namespace
}  // namespace strata::pmr
