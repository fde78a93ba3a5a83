// SPDX-License-Identifier: Apache-2.0
// Claims beyond conformance: a touch beyond either end faults at the very byte, for every size up to two pages; what is
// written beside a block, short of its guard, is misuse with a sentence, and so is every wrong return, without effect; one
// in N is guarded and the rest is upstream's as it was; what goes back upstream is whole pages, accessible; held blocks
// fault and cost no memory; 60 000 guarded blocks leave the process its mappings; without guards of the kernel the same by
// protection, within a budget that is seen; whatever the OS refuses, a request is served, or refused when strict, with
// nothing changed, and freeing goes on; locked memory is told; figures add up; threads, children of fork().
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <memory_resource>
#include <new>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/os_script/os_script.h"
#include "tests/platform/faults.h"
#include "tests/support/failing_resource.h"
#include "tests/support/recording_resource.h"
#include "tests/support/sanitizer.h"
#include "tests/support/shared_memory.h"

import strata.mem;
import strata.pmr;

namespace strata::pmr {
namespace {

using test::failing_resource;
using test::fault_of_load;
using test::fault_of_store;
using test::in_child;
using test::os_call;
using test::os_script;
using test::recording_resource;
using any_resource = std::pmr::memory_resource;

constexpr int install = 102;  // MADV_GUARD_INSTALL
constexpr int remove = 103;   // MADV_GUARD_REMOVE
const std::size_t page = mem::page_bytes();

static_assert(guard_adaptor<page_resource>::thread_safe && guard_adaptor<page_resource>::zeroed);
static_assert(!guard_adaptor<heap_resource<>>::thread_safe);
static_assert(!guard_adaptor<>::can_release);
static_assert(guard_adaptor<page_resource>::max_alignment == page_resource::max_alignment);

/// How this process guards: by marks, or by protection.
bool kernel_marks() {
  static const bool answer = !mem::page_guards(0).costs_mappings();
  return answer;
}

std::vector<misuse> reports;
std::vector<std::string> details;

struct GuardAdaptor : testing::Test {
  void SetUp() override {
    reports.clear();
    details.clear();
    set_misuse_handler([](const misuse& what) {
      reports.push_back(what);
      details.emplace_back(what.detail == nullptr ? "" : what.detail);
    });
  }
  void TearDown() override {
    set_misuse_handler(nullptr);
    EXPECT_TRUE(reports.empty()) << reports.front().sentence;
    EXPECT_EQ(mem::page_guards::mappings_claimed(), 0U);
  }
  /// The one report there is; it is then dealt with.
  std::string reported() {
    const std::string sentence = reports.size() == 1 ? reports.front().sentence : std::to_string(reports.size());
    reports.clear();
    return sentence;
  }
};

template <class Memory>
std::string degraded_by(const Memory& memory) {
  std::array<degradation, 8> states;
  const std::size_t count = memory.degraded(states);
  std::string all;
  for (std::size_t i = 0; i < count; ++i)
    all += std::string(states[i].reason) + " x" + std::to_string(states[i].times) + ". ";
  return all;
}

bool contains(const std::string& text, const char* part) { return text.find(part) != std::string::npos; }

std::size_t mappings() {
  std::ifstream maps("/proc/self/maps");
  std::size_t lines = 0;
  for (std::string line; std::getline(maps, line);) ++lines;
  return lines;
}

// --- beyond the ends

TEST_F(GuardAdaptor, FaultsAtTheByteBehindEverySizeUpToTwoPages) {
  stack memory{pages{}, guards{}};
  const test::recovering_handler handler;
  for (std::size_t bytes = 1; bytes <= 2 * page; ++bytes) {
    char* const p = static_cast<char*>(memory.allocate(bytes, 1));
    std::memset(p, 'x', bytes);
    ASSERT_EQ(test::recovering_handler::storing(p + bytes).address, p + bytes) << bytes;
    ASSERT_EQ(test::recovering_handler::loading(p + bytes).address, p + bytes) << bytes;
    memory.deallocate(p, bytes, 1);
  }
}

TEST_F(GuardAdaptor, FaultsAtTheByteBeforeEverySizeUpToTwoPagesWhenTightAtTheStart) {
  stack memory{pages{}, guards{.tight = guard_edge::start}};
  const test::recovering_handler handler;
  for (std::size_t bytes = 0; bytes <= 2 * page; bytes += 13) {
    char* const p = static_cast<char*>(memory.allocate(bytes, 1));
    std::memset(p, 'x', bytes);
    ASSERT_EQ(test::recovering_handler::storing(p - 1).address, p - 1) << bytes;
    ASSERT_EQ(test::recovering_handler::loading(p - 1).address, p - 1) << bytes;
    memory.deallocate(p, bytes, 1);
  }
}

TEST_F(GuardAdaptor, ServesEveryAlignmentBetweenItsGuards) {
  stack memory{pages{}, guards{}};
  for (std::size_t alignment = 1; alignment <= std::size_t{1} << 21; alignment *= 2) {
    for (const std::size_t bytes : {std::size_t{0}, std::size_t{1}, std::size_t{100}, page, 3 * page + 5}) {
      char* const p = static_cast<char*>(memory.allocate(bytes, alignment));
      ASSERT_EQ(mem::address(p) % alignment, 0U);
      ASSERT_TRUE(memory.top().is_guarded(p));
      std::memset(p, 'x', bytes);
      const std::uintptr_t end = mem::address(p) + bytes;
      char* const guard = p + bytes + ((page - end % page) % page);
      ASSERT_EQ(fault_of_load(guard).address, guard) << bytes << ", " << alignment;
      ASSERT_LT(static_cast<std::size_t>(guard - p) - bytes, std::min(alignment, page));
      memory.deallocate(p, bytes, alignment);
    }
  }
}

// Not instrumented: the machine's answer is wanted, not a sanitizer's.
__attribute__((disable_sanitizer_instrumentation, no_sanitize("all"))) void write_at(volatile char* p) { *p = 1; }

TEST_F(GuardAdaptor, EndsAProgramThatWritesBeyondAContainer) {
  stack memory{pages{}, guards{}};
  EXPECT_EQ(in_child([&] {
              std::signal(SIGSEGV, SIG_DFL);
              std::pmr::vector<char> text(100, 'x', &memory);
              write_at(text.data() + 99);
              write_at(text.data() + 100);
              return 0;
            }),
            1000 + SIGSEGV);
  EXPECT_EQ(in_child([&] {
              std::signal(SIGSEGV, SIG_DFL);
              void* const p = memory.allocate(page, 1);
              write_at(static_cast<char*>(p) - 1);
              return 0;
            }),
            1000 + SIGSEGV);
}

// --- beside the block

TEST_F(GuardAdaptor, WritesBesideABlockAreMisuseWithASentenceEachAndNoEffect) {
  stack memory{pages{}, guards{.name = "fences"}};
  char* const p = static_cast<char*>(memory.allocate(20, 16));
  p[20] = 'x';
  EXPECT_STREQ(memory.check().sentence, "a guarded block was written beyond its end, short of its guard");
  EXPECT_EQ(memory.check().where, p + 20);
  const char pad = p[-1];
  memory.deallocate(p, 20, 16);
  ASSERT_EQ(reports.size(), 1U);
  EXPECT_STREQ(reports[0].layer, "fences");
  EXPECT_EQ(reports[0].where, p + 20);
  EXPECT_EQ(reported(), "a guarded block was written beyond its end, short of its guard");
  EXPECT_EQ(memory.stats().live_blocks, 1U);
  p[-1] = 'x';
  // What was there before is what belongs there: put back by hand, since the test knows it.
  char* const other = static_cast<char*>(memory.allocate(20, 16));
  memory.deallocate(other, 20, 16);
  EXPECT_EQ(reports.size(), 0U) << "another block is none the worse";
  memory.deallocate(p, 20, 16);
  EXPECT_EQ(reported(), "a guarded block was written beyond its end, short of its guard") << "what is found first";
  p[-1] = pad;
  for (int value = 0; reports.empty() && value < 256; ++value) {
    p[20] = static_cast<char>(value);
    if (memory.check().sentence == nullptr) break;
  }
  p[-1] = 'x';
  memory.deallocate(p, 20, 16);
  EXPECT_EQ(reported(), "a guarded block was written before its start, short of its guard");
  p[-1] = pad;
  memory.deallocate(p, 20, 16);
  EXPECT_EQ(memory.stats().live_blocks, 0U);
}

TEST_F(GuardAdaptor, WrongReturnsAreMisuseAndChangeNothing) {
  stack memory{pages{}, guards{.hold_bytes = std::size_t{1} << 20}};
  void* const p = memory.allocate(100, 4);
  memory.deallocate(p, 101, 4);
  EXPECT_EQ(details.back(), "allocated with 100 bytes, alignment 4");
  EXPECT_EQ(reported(), "a guarded block comes back with another size than it was allocated with");
  memory.deallocate(p, 100, 8);
  EXPECT_EQ(reported(), "a guarded block comes back with another alignment than it was allocated with");
  memory.deallocate(static_cast<char*>(p) + 4, 100, 4);
  EXPECT_EQ(reported(), "the pointer is no block of these guards");
  int local = 0;
  memory.deallocate(&local, sizeof local, alignof(int));
  EXPECT_EQ(reported(), "the pointer is no block of these guards");
  EXPECT_EQ(memory.stats().live_blocks, 1U);
  EXPECT_EQ(memory.stats().live, 100U);
  memory.deallocate(p, 100, 4);
  memory.deallocate(p, 100, 4);
  EXPECT_EQ(reported(), "a guarded block comes back a second time");
  EXPECT_EQ(memory.stats().live_blocks, 0U);
}

TEST(GuardAdaptorDeathTest, SaysWhatIsWrongAndEnds) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  stack memory{pages{}, guards{.name = "fences"}};
  void* const p = memory.allocate(20, 16);
  EXPECT_DEATH(memory.deallocate(p, 21, 16), "fences.*comes back with another size than it was allocated with");
  memory.deallocate(p, 20, 16);
}

// --- one in N

TEST_F(GuardAdaptor, GuardsOneInNAndLeavesTheRestAsItWas) {
  recording_resource upstream;
  {
    guard_adaptor memory(&upstream, guards{.one_in = 10});
    std::vector<void*> blocks;
    std::size_t guarded = 0;
    for (int i = 0; i < 2000; ++i) {
      blocks.push_back(memory.allocate(40, 8));
      guarded += memory.is_guarded(blocks.back()) ? 1 : 0;
    }
    EXPECT_GT(guarded, 130U);
    EXPECT_LT(guarded, 280U);
    EXPECT_EQ(memory.unguarded(), 0U) << "those left out by choice do not count";
    std::size_t as_asked = 0;
    for (const test::request& r : upstream.requests()) {
      as_asked += r.bytes == 40 && r.alignment == 8 ? 1 : 0;
      if (r.bytes != 40) EXPECT_EQ(r, (test::request{3 * page, page, true}));
    }
    EXPECT_EQ(as_asked, 2000 - guarded);
    EXPECT_EQ(memory.stats().live, 2000U * 40);
    EXPECT_EQ(memory.stats().upstream, upstream.live().bytes);
    for (void* const p : blocks) memory.deallocate(p, 40, 8);
    EXPECT_EQ(memory.stats().upstream, 0U);
  }
  EXPECT_EQ(upstream.live().blocks, 0U);
}

TEST_F(GuardAdaptor, GivesUpstreamWholePagesThatAreAccessible) {
  // The recorder fills what it gets back, every byte of it.
  recording_resource upstream;
  guard_adaptor memory(&upstream, guards{.hold_bytes = 4 * page});
  for (std::size_t bytes = 0; bytes < 3 * page; bytes += 501) {
    void* const p = memory.allocate(bytes, 16);
    memory.deallocate(p, bytes, 16);
  }
  memory.trim();
  EXPECT_EQ(upstream.live().blocks, 0U);
  for (const test::request& r : upstream.requests()) {
    EXPECT_EQ(r.alignment, page);
    EXPECT_EQ(r.bytes % page, 0U);
  }
}

// --- held blocks

TEST_F(GuardAdaptor, HeldBlocksFaultUntilThereAreTooMany) {
  recording_resource upstream;
  guard_adaptor memory(&upstream, guards{.hold_bytes = 30 * page});
  std::vector<char*> gone;
  for (int i = 0; i < 15; ++i) {
    gone.push_back(static_cast<char*>(memory.allocate(500, 4)));
    std::memset(gone.back(), i, 500);
    memory.deallocate(gone.back(), 500, 4);
  }
  EXPECT_EQ(memory.stats().kept, 30 * page);
  EXPECT_EQ(memory.stats().upstream, 30 * page);
  EXPECT_EQ(upstream.live().blocks, 10U);
  for (std::size_t i = 5; i < 15; ++i) {
    EXPECT_EQ(fault_of_load(gone[i]).address, gone[i]);
    EXPECT_EQ(fault_of_store(gone[i] + 499).address, gone[i] + 499);
  }
  EXPECT_EQ(memory.trim(), 30 * page);
  EXPECT_EQ(memory.trim(), 0U);
  EXPECT_EQ(upstream.live().blocks, 0U);
}

TEST_F(GuardAdaptor, HeldBlocksCostNoMemory) {
  if (!kernel_marks()) GTEST_SKIP() << "pages that are only protected keep their memory";
  stack memory{pages{}, guards{.hold_bytes = std::size_t{1} << 30}};
  const std::size_t bytes = 64 * page;
  char* const p = static_cast<char*>(memory.allocate(bytes, 1));
  std::memset(p, 1, bytes);
  memory.deallocate(p, bytes, 1);
  std::array<unsigned char, 64> resident{};
  ASSERT_EQ(::mincore(p, bytes, resident.data()), 0);
  std::size_t there = 0;
  for (const unsigned char r : resident) there += r & 1U;
  EXPECT_EQ(there, 0U);
}

// --- many

TEST_F(GuardAdaptor, SixtyThousandGuardedBlocksLeaveTheProcessItsMappings) {
  if (!kernel_marks()) GTEST_SKIP() << "without guards of the kernel the budget allows fewer";
  constexpr std::size_t many = 60'000;
  stack memory{pages{}, guards{.strict = true}};
  std::vector<char*> blocks(many);
  const std::size_t before = mappings();
  for (char*& p : blocks) {
    p = static_cast<char*>(memory.allocate(64, 16));
    *p = 1;
  }
  // A sanitizer maps shadow memory of its own for it.
  if (!test::under_asan && !test::under_tsan) EXPECT_LT(mappings(), before + 100);
  for (const std::size_t i : {std::size_t{0}, many / 2, many - 1})
    EXPECT_EQ(fault_of_load(blocks[i] + 64).address, blocks[i] + 64);
  for (int i = 0; i < 1000; ++i) {
    void* const other = ::mmap(nullptr, page, i % 2 == 0 ? PROT_READ : PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(other, MAP_FAILED);
    ASSERT_EQ(::munmap(other, page), 0);
  }
  for (char* const p : blocks) memory.deallocate(p, 64, 16);
  EXPECT_EQ(memory.stats().upstream, 0U);
  EXPECT_EQ(degraded_by(memory.top()), "");
}

// --- kernels without guards, and budgets

TEST_F(GuardAdaptor, WithoutGuardsOfTheKernelProtectsWithinItsBudgetAndSaysSo) {
  os_script script;
  script.fail_advice(install, EINVAL);
  script.fail_advice(remove, EINVAL);
  stack memory{pages{}, guards{.max_mappings = 40}};  // ten blocks of two guards
  std::vector<char*> blocks;
  for (int i = 0; i < 25; ++i) blocks.push_back(static_cast<char*>(memory.allocate(100, 4)));
  for (std::size_t i = 0; i < 25; ++i) EXPECT_EQ(memory.top().is_guarded(blocks[i]), i < 10) << i;
  EXPECT_EQ(mem::page_guards::mappings_claimed(), 40U);
  EXPECT_EQ(memory.top().unguarded(), 15U);
  EXPECT_EQ(fault_of_load(blocks[0] + 100).address, blocks[0] + 100);
  EXPECT_EQ(fault_of_load(blocks[9] + 100).address, blocks[9] + 100);
  EXPECT_TRUE(contains(degraded_by(memory.top()), "more mappings than the budget")) << degraded_by(memory.top());
  EXPECT_TRUE(contains(degraded_by(memory.top()), "x15.")) << degraded_by(memory.top());
  EXPECT_TRUE(contains(degraded_by(memory.top()), "no page guards"));
  for (std::size_t i = 0; i < 5; ++i) memory.deallocate(blocks[i], 100, 4);
  EXPECT_TRUE(memory.top().is_guarded(blocks[0] = static_cast<char*>(memory.allocate(100, 4))))
      << "there is room again";
  memory.deallocate(blocks[0], 100, 4);
  for (std::size_t i = 5; i < 25; ++i) memory.deallocate(blocks[i], 100, 4);
  EXPECT_EQ(memory.stats().upstream, 0U);
}

TEST_F(GuardAdaptor, WithoutGuardsOfTheKernelTheBudgetIsOneOfTheProcess) {
  os_script script;
  script.fail_advice(install, EINVAL);
  stack one{pages{}, guards{.max_mappings = 8}};
  stack other{pages{}, guards{.max_mappings = 8}};
  void* const p = one.allocate(1, 1);
  void* const q = other.allocate(1, 1);
  void* const r = one.allocate(1, 1);
  EXPECT_TRUE(one.top().is_guarded(p));
  EXPECT_TRUE(other.top().is_guarded(q));
  EXPECT_FALSE(one.top().is_guarded(r));
  one.deallocate(p, 1, 1);
  one.deallocate(r, 1, 1);
  other.deallocate(q, 1, 1);
}

TEST_F(GuardAdaptor, StrictThrowsWhatCannotBeGuarded) {
  os_script script;
  script.fail_advice(install, EINVAL);
  stack memory{pages{}, guards{.name = "fences", .max_mappings = 4, .strict = true}};
  void* const p = memory.allocate(100, 4);
  try {
    static_cast<void>(memory.allocate(100, 4));
    FAIL() << "nothing was thrown";
  } catch (const allocation_error& e) {
    EXPECT_STREQ(e.layer(), "fences");
    EXPECT_TRUE(contains(e.what(), "more mappings than the budget allows")) << e.what();
  }
  EXPECT_EQ(memory.stats().failures, 1U);
  EXPECT_EQ(memory.stats().live_blocks, 1U);
  EXPECT_EQ(memory.get<0>().stats().live_blocks, 1U);
  memory.deallocate(p, 100, 4);
}

// --- refusals

/// A piece of life, with whatever it meets.
template <class Memory>
void live_a_little(Memory& memory) {
  std::array<std::pair<char*, std::size_t>, 6> blocks{};
  std::size_t bytes = 1;
  for (auto& [p, size] : blocks) {
    try {
      p = static_cast<char*>(memory.allocate(bytes, 8));
      size = bytes;
      std::memset(p, 'x', bytes);
    } catch (const std::bad_alloc&) {
      p = nullptr;
    }
    bytes = bytes * 7 + 1;
  }
  EXPECT_EQ(memory.check().sentence, nullptr);
  for (auto& [p, size] : blocks) {
    if (p != nullptr) memory.deallocate(p, size, 8);
  }
  const statistics now = memory.stats();
  EXPECT_EQ(now.live, 0U);
  EXPECT_EQ(now.live_blocks, 0U);
  EXPECT_EQ(now.upstream, now.kept + now.overhead);
}

TEST_F(GuardAdaptor, WhateverTheOsRefusesBlocksAreServedAndFreed) {
  for (const bool marks : {true, false}) {
    if (marks && !kernel_marks()) continue;
    for (const os_call call : {os_call::madvise, os_call::mprotect, os_call::mmap, os_call::munmap}) {
      for (const int code : {ENOMEM, EINVAL}) {
        for (unsigned nth = 1;; ++nth) {
          SCOPED_TRACE(testing::Message() << marks << static_cast<int>(call) << ' ' << nth);
          recording_resource upstream;
          guard_adaptor memory(&upstream, guards{.hold_bytes = 6 * page});
          bool met = false;
          {
            os_script script;
            if (!marks) script.fail_advice(install, EINVAL);
            guard_adaptor scripted(&upstream, guards{.hold_bytes = 6 * page});
            script.fail(call, nth, code);
            live_a_little(scripted);
            // What was refused may be the last of these: it is tried again.
            scripted.trim();
            scripted.trim();
            EXPECT_EQ(upstream.live().blocks, 0U);
            met = script.calls(call) >= nth;
            EXPECT_EQ(scripted.stats().failures, 0U) << "none was refused: upstream had memory";
          }
          live_a_little(memory);
          memory.trim();
          EXPECT_EQ(upstream.live().blocks, 0U);
          if (!met || HasFailure()) break;
        }
      }
    }
  }
}

TEST_F(GuardAdaptor, StrictRefusesWhateverTheOsRefusesAndNothingHasChanged) {
  if (!kernel_marks()) GTEST_SKIP() << "this kernel has no guards (before 6.13)";
  for (unsigned nth = 1; nth <= 2; ++nth) {
    recording_resource upstream;
    guard_adaptor memory(&upstream, guards{.strict = true});
    os_script script;
    script.fail(os_call::madvise, nth, ENOMEM);
    try {
      static_cast<void>(memory.allocate(100, 4));
      FAIL() << "nothing was thrown";
    } catch (const allocation_error& e) {
      EXPECT_STREQ(e.os_call(), "madvise");
      EXPECT_EQ(e.os_code(), ENOMEM);
    }
    EXPECT_EQ(upstream.live().blocks, 0U);
    EXPECT_EQ(memory.stats().live_blocks, 0U);
    EXPECT_EQ(memory.stats().failures, 1U);
  }
}

TEST_F(GuardAdaptor, WithoutMemoryForItsBookServesUnguardedOrThrows) {
  recording_resource upstream;
  guard_adaptor memory(&upstream);
  guard_adaptor strict(&upstream, guards{.strict = true});
  os_script script;
  script.fail_always(os_call::mmap, ENOMEM);
  void* const p = memory.allocate(100, 4);
  EXPECT_FALSE(memory.is_guarded(p));
  EXPECT_TRUE(contains(degraded_by(memory), "no memory to remember them"));
  EXPECT_THROW(static_cast<void>(strict.allocate(100, 4)), allocation_error);
  memory.deallocate(p, 100, 4);
  EXPECT_EQ(upstream.live().blocks, 0U);
}

TEST_F(GuardAdaptor, WhatTheOsWillNotMakeAccessibleIsKeptAndTriedAgain) {
  if (!kernel_marks()) GTEST_SKIP() << "this kernel has no guards (before 6.13)";
  recording_resource upstream;
  guard_adaptor memory(&upstream);
  void* const p = memory.allocate(100, 4);
  void* const q = memory.allocate(100, 4);
  {
    os_script script;
    script.fail_advice(remove, ENOMEM);
    memory.deallocate(p, 100, 4);
    EXPECT_EQ(memory.stats().kept, 3 * page);
    EXPECT_EQ(upstream.live().blocks, 2U);
    EXPECT_TRUE(contains(degraded_by(memory), "could not be made accessible again")) << degraded_by(memory);
  }
  memory.deallocate(q, 100, 4);
  EXPECT_EQ(memory.stats().kept, 0U) << "the next one that goes takes it along";
  EXPECT_EQ(upstream.live().blocks, 0U);
}

TEST_F(GuardAdaptor, WhenUpstreamHasNoRoomForPagesItIsAskedForTheBytes) {
  recording_resource upstream({.report = test::findings::manner::fail_the_test, .max_live = 2 * page});
  guard_adaptor memory(&upstream);
  void* const p = memory.allocate(100, 4);
  EXPECT_FALSE(memory.is_guarded(p));
  EXPECT_TRUE(contains(degraded_by(memory), "upstream has no room for whole pages"));
  EXPECT_THROW(static_cast<void>(memory.allocate(4 * page, 4)), std::bad_alloc);
  memory.deallocate(p, 100, 4);
  guard_adaptor strict(&upstream, guards{.strict = true});
  EXPECT_THROW(static_cast<void>(strict.allocate(100, 4)), std::bad_alloc);
}

TEST_F(GuardAdaptor, TellsThatMemoryIsLocked) {
  if (test::under_asan || test::under_tsan) GTEST_SKIP() << "this sanitizer's munlock does nothing";
  if (!kernel_marks()) GTEST_SKIP() << "this kernel has no guards (before 6.13)";
  constexpr int kMayNot = 77;
  const int answer = in_child([] {
    // The bare call: sanitizers ignore the library's.
    if (::syscall(SYS_mlockall, MCL_FUTURE) != 0) return kMayNot;
    stack memory{pages{}, guards{}};
    void* const p = memory.allocate(100, 4);
    std::memset(p, 1, 100);
    if (memory.top().is_guarded(p)) return 1;
    if (!contains(degraded_by(memory.top()), "do not lock the memory")) return 2;
    memory.deallocate(p, 100, 4);
    stack strict{pages{}, guards{.strict = true}};
    try {
      static_cast<void>(strict.allocate(100, 4));
      return 3;
    } catch (const allocation_error& e) {
      if (e.os_code() != EINVAL) return 4;
    }
    return strict.stats().live_blocks == 0 && strict.get<0>().stats().live_blocks == 0 ? 0 : 5;
  });
  if (answer == kMayNot) GTEST_SKIP() << "this process may not lock what it maps";
  EXPECT_EQ(answer, 0);
}

TEST_F(GuardAdaptor, RefusesOptionsThatCannotBe) {
  recording_resource upstream;
  const auto make = [&](const guards& options) { guard_adaptor memory(&upstream, options); };
  EXPECT_THROW(make({.before = false, .after = false}), std::invalid_argument);
  EXPECT_THROW(make({.one_in = 0}), std::invalid_argument);
  EXPECT_NO_THROW(make({.before = false}));
}

// --- the end, the report, threads, children

TEST_F(GuardAdaptor, LiveBlocksStayWithUpstreamAndLoseTheirGuards) {
  recording_resource upstream;
  char* p = nullptr;
  {
    guard_adaptor memory(&upstream, guards{.live_at_end_is_misuse = true});
    p = static_cast<char*>(memory.allocate(page, 1));
    EXPECT_EQ(fault_of_load(p + page).signal, SIGSEGV);
  }
  EXPECT_EQ(reported(), "destroyed with live guarded blocks: nobody gives them back to their upstream any more");
  EXPECT_EQ(fault_of_load(p + page).signal, 0);
  upstream.deallocate(p - page, 3 * page, page);
}

TEST_F(GuardAdaptor, FiguresAddUpAndTheReportSaysWhatIsMissing) {
  os_script script;
  script.fail_advice(install, EINVAL);
  stack memory{pages{}, guards{.hold_bytes = 3 * page, .max_mappings = 20}};
  void* const p = memory.allocate(100, 4);
  void* const q = memory.allocate(200, 4);
  memory.deallocate(q, 200, 4);
  const statistics now = memory.top().stats();
  EXPECT_EQ(now.live, 100U);
  EXPECT_EQ(now.live_blocks, 1U);
  EXPECT_EQ(now.kept, 3 * page);
  EXPECT_EQ(now.overhead, 3 * page - 100);
  EXPECT_EQ(now.upstream, 6 * page);
  std::FILE* const file = std::tmpfile();
  ASSERT_NE(file, nullptr);
  memory.write_report(file);
  std::rewind(file);
  std::string text(4096, '\0');
  text.resize(std::fread(text.data(), 1, text.size(), file));
  std::fclose(file);
  EXPECT_TRUE(contains(text, "guards")) << text;
  EXPECT_TRUE(contains(text, "no page guards")) << text;
  memory.deallocate(p, 100, 4);
}

TEST_F(GuardAdaptor, ThreadsFreeWhatOthersAllocated) {
  stack memory{pages{}, guards{.one_in = 3, .hold_bytes = 20 * page}};
  constexpr std::size_t count = 4;
  std::array<std::atomic<char*>, 64> places{};
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < count; ++t) {
    threads.emplace_back([&, t] {
      for (std::size_t i = 0; i < 3000; ++i) {
        char* const mine = static_cast<char*>(memory.allocate(48, 16));
        std::memset(mine, static_cast<int>(t), 48);
        char* const other = places[(i * 7 + t) % places.size()].exchange(mine);
        if (other != nullptr) memory.deallocate(other, 48, 16);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(memory.check().sentence, nullptr);
  for (auto& place : places) {
    if (char* const left = place.load(); left != nullptr) memory.deallocate(left, 48, 16);
  }
  EXPECT_EQ(memory.stats().live_blocks, 0U);
  EXPECT_EQ(memory.stats().live, 0U);
}

TEST_F(GuardAdaptor, AChildHasTheGuardsAndGoesOn) {
  stack memory{pages{}, guards{.hold_bytes = 10 * page}};
  char* const p = static_cast<char*>(memory.allocate(100, 4));
  char* const gone = static_cast<char*>(memory.allocate(100, 4));
  memory.deallocate(gone, 100, 4);
  EXPECT_EQ(in_child([&] {
              if (fault_of_load(p + 100).address != p + 100) return 1;
              if (fault_of_load(gone).address != gone) return 2;
              p[0] = 'c';
              memory.deallocate(p, 100, 4);
              char* const q = static_cast<char*>(memory.allocate(100, 4));
              if (fault_of_load(q + 100).address != q + 100) return 3;
              memory.deallocate(q, 100, 4);
              memory.top().trim();
              return memory.stats().upstream == 0 && reports.empty() ? 0 : 4;
            }),
            0);
  p[0] = 'p';
  EXPECT_EQ(fault_of_load(p + 100).address, p + 100);
  memory.deallocate(p, 100, 4);
}

}  // namespace
}  // namespace strata::pmr
