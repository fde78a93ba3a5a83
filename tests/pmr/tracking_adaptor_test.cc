// SPDX-License-Identifier: Apache-2.0
// Claims beyond conformance: live, peak, total and scopes are exact, nested and over threads; in a sample all but the peak
// are; what is told by call stack is right, or without bias (within three standard errors over many seeds, which are
// printed); leaks are written at the end, by call stack, largest first, or not at all if that was said; a block is struck
// out before it goes back, so that an address may come again at once, to another thread (users A.3-2); a block that comes
// twice, another size, another alignment and a stranger are misuse with a sentence, and change nothing; when there is no
// memory to know a block by, it goes back and nothing has changed, or a sample is left out and told; the global heap and
// the default resource are not asked; a child of fork() goes on, whatever other threads were at; stacks can be on top.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <memory_resource>
#include <new>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/os_script/os_script.h"
#include "tests/support/counting_default.h"
#include "tests/support/failing_resource.h"
#include "tests/support/recording_resource.h"

import strata.mem;
import strata.pmr;

namespace strata::pmr {
namespace {

using test::failing_resource;
using test::os_call;
using test::os_script;
using test::recording_resource;

static_assert(tracking_adaptor<page_resource>::thread_safe && tracking_adaptor<page_resource>::zeroed);
static_assert(!tracking_adaptor<heap_resource<>>::thread_safe);
static_assert(tracking_adaptor<slab_resource<>>::can_release && !tracking_adaptor<>::can_release);

std::vector<misuse> reports;
std::vector<std::string> details;

struct TrackingAdaptor : testing::Test {
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
  }
  /// The one sentence there is; it is then dealt with.
  std::string reported() {
    const std::string sentence = reports.size() == 1 ? reports.front().sentence : std::to_string(reports.size());
    reports.clear();
    return sentence;
  }
};

/// Text that a layer writes.
struct written {
  std::string text;
  text_sink sink() {
    return {[](void* to, const char* text, std::size_t bytes) noexcept {
              static_cast<written*>(to)->text.append(text, bytes);
            },
            this};
  }
  std::size_t find(const std::string& what) const { return text.find(what); }
  bool has(const std::string& what) const { return find(what) != std::string::npos; }
};

profiled_place sum_of(const profile_source& source) {
  profiled_place sum;
  for (std::size_t i = 0; i < source.places(); ++i) {
    const profiled_place each = source.place(i);
    sum.allocations += each.allocations;
    sum.allocated += each.allocated;
    sum.live_blocks += each.live_blocks;
    sum.live += each.live;
  }
  return sum;
}

// --- figures

TEST_F(TrackingAdaptor, CountsEveryBlockExactly) {
  recording_resource upstream;
  tracking_adaptor memory(&upstream, {.leaks_at_end = false});
  void* const a = memory.allocate(100);
  void* const b = memory.allocate(0);
  void* const c = memory.allocate(1000, 64);
  memory.deallocate(c, 1000, 64);
  const statistics figures = memory.stats();
  EXPECT_EQ(figures.live, 100U);
  EXPECT_EQ(figures.upstream, 100U);
  EXPECT_EQ(figures.peak, 1100U);
  EXPECT_EQ(figures.live_blocks, 2U);
  EXPECT_EQ(figures.allocations, 3U);
  const profiled_place sum = sum_of(memory);
  EXPECT_EQ(sum.allocations, 3U);
  EXPECT_EQ(sum.allocated, 1100U);
  EXPECT_EQ(sum.live_blocks, 2U);
  EXPECT_EQ(sum.live, 100U);
  EXPECT_FALSE(memory.check().found());
  memory.deallocate(a, 100);
  memory.deallocate(b, 0);
}

TEST_F(TrackingAdaptor, CountsExactlyWhateverIsSampled) {
  recording_resource upstream;
  constexpr std::size_t mean = 1000;
  tracking_adaptor memory(&upstream, {.sample_bytes = mean, .seed = 17});
  std::vector<std::thread> threads;
  constexpr std::size_t crowd = 4;
  constexpr std::size_t calls = 1000;
  for (std::size_t t = 0; t < crowd; ++t) {
    threads.emplace_back([&] {
      std::vector<std::pair<void*, std::size_t>> mine;
      for (std::size_t i = 0; i < calls; ++i) mine.emplace_back(memory.allocate(i % 100), i % 100);
      for (std::size_t i = 0; i < calls; i += 2) memory.deallocate(mine[i].first, mine[i].second);
      for (std::size_t i = 1; i < calls - 100; i += 2) memory.deallocate(mine[i].first, mine[i].second);
      for (std::size_t i = calls - 99; i < calls; i += 2) {
        memory.deallocate(mine[i].first, mine[i].second);
        mine[i].first = memory.allocate(7);
      }
      for (std::size_t i = calls - 99; i < calls; i += 2) memory.deallocate(mine[i].first, 7);
    });
  }
  for (std::thread& thread : threads) thread.join();
  const statistics figures = memory.stats();
  EXPECT_EQ(figures.live, 0U);
  EXPECT_EQ(figures.live_blocks, 0U);
  EXPECT_EQ(figures.allocations, crowd * (calls + 50));
  // At most low by what a thread allocates between two samples, and never more than there was.
  EXPECT_GE(figures.peak, upstream.peak_bytes() / 2);
  EXPECT_LE(figures.peak, upstream.peak_bytes());
  const profiled_place sum = sum_of(memory);
  EXPECT_EQ(sum.live_blocks, 0U);
  EXPECT_EQ(sum.live, 0U);
  EXPECT_GT(sum.allocated, 0U);
  EXPECT_FALSE(memory.check().found());
}

[[gnu::noinline]] void* small_one(std::pmr::memory_resource& memory) {
  void* const p = memory.allocate(48, 8);
  __asm__ volatile("" : : "r"(p) : "memory");
  return p;
}

[[gnu::noinline]] void* large_one(std::pmr::memory_resource& memory) {
  void* const p = memory.allocate(3000, 8);
  __asm__ volatile("" : : "r"(p) : "memory");
  return p;
}

TEST_F(TrackingAdaptor, EstimatesWithoutBias) {
  static constexpr std::uint64_t first_seed = 500;
  static constexpr std::size_t seeds = 200;
  constexpr std::size_t blocks = 400;
  constexpr std::size_t freed = 100;
  recording_resource upstream;
  struct moments {
    double sum = 0;
    double squares = 0;
    void add(double x) {
      sum += x;
      squares += x * x;
    }
    void expect(double truth, const char* what) const {
      const double mean = sum / seeds;
      const double error = std::sqrt((squares / seeds - mean * mean) / seeds);
      EXPECT_NEAR(mean, truth, 3 * error)
          << what << ": seeds " << first_seed << " and the next " << seeds << ", standard error " << error;
      EXPECT_LT(error, 0.1 * truth) << what;
    }
  } allocations, allocated, live_blocks, live;
  for (std::uint64_t seed = first_seed; seed < first_seed + seeds; ++seed) {
    tracking_adaptor memory(&upstream, {.sample_bytes = 4096, .stack_depth = 2, .seed = seed * 0x9E37'79B9'7F4AU});
    std::vector<void*> small, large;
    for (std::size_t i = 0; i < blocks; ++i) {
      small.push_back(small_one(memory));
      large.push_back(large_one(memory));
    }
    for (std::size_t i = 0; i < freed; ++i) {
      memory.deallocate(small[i], 48, 8);
      memory.deallocate(large[i], 3000, 8);
    }
    const profiled_place sum = sum_of(memory);
    allocations.add(static_cast<double>(sum.allocations));
    allocated.add(static_cast<double>(sum.allocated));
    live_blocks.add(static_cast<double>(sum.live_blocks));
    live.add(static_cast<double>(sum.live));
    for (std::size_t i = freed; i < blocks; ++i) {
      memory.deallocate(small[i], 48, 8);
      memory.deallocate(large[i], 3000, 8);
    }
    ASSERT_EQ(sum_of(memory).live, 0U) << seed;
  }
  allocations.expect(2 * blocks, "allocations");
  allocated.expect(blocks * 3048.0, "allocated");
  live_blocks.expect(2 * (blocks - freed), "live blocks");
  live.expect((blocks - freed) * 3048.0, "live");
}

TEST_F(TrackingAdaptor, ScopesTellWhatCameAndWentInThem) {
  for (const std::size_t sample_bytes : {std::size_t{0}, std::size_t{1} << 30}) {
    recording_resource upstream;
    tracking_adaptor memory(&upstream, {.sample_bytes = sample_bytes});
    void* const before = memory.allocate(10);
    memory.push();
    void* const a = memory.allocate(100);
    memory.push();
    std::thread([&] { memory.deallocate(memory.allocate(1000), 1000); }).join();
    static_cast<void>(memory.stats());
    const tracking_scope inner = memory.pop();
    memory.deallocate(before, 10);
    const tracking_scope outer = memory.pop();
    EXPECT_EQ(inner.allocations, 1U);
    EXPECT_EQ(inner.allocated, 1000U);
    EXPECT_EQ(inner.live, 0);
    EXPECT_EQ(outer.allocations, 2U);
    EXPECT_EQ(outer.deallocations, 2U);
    EXPECT_EQ(outer.allocated, 1100U);
    EXPECT_EQ(outer.live, 90);
    EXPECT_EQ(outer.live_blocks, 0);
    if (sample_bytes == 0) {
      EXPECT_EQ(inner.peak_above_start, 1000U);
      EXPECT_EQ(outer.peak_above_start, 1100U);
      EXPECT_EQ(memory.stats().peak, 1110U);
    }
    memory.deallocate(a, 100);
  }
}

TEST_F(TrackingAdaptor, EveryScopeEndsOnce) {
  recording_resource upstream;
  tracking_adaptor memory(&upstream, {.name = "orders"});
  EXPECT_EQ(memory.pop().allocations, 0U);
  EXPECT_EQ(reported(), "a scope is ended that was not begun");
  EXPECT_THROW(for (int i = 0; i < 100; ++i) memory.push(), std::length_error);
  for (int i = 0; i < 64; ++i) static_cast<void>(memory.pop());
}

// --- leaks

TEST_F(TrackingAdaptor, WritesLeaksByCallStackLargestFirst) {
  recording_resource upstream;
  written out;
  std::array<void*, 3> small{};
  void* large = nullptr;
  {
    tracking_adaptor memory(&upstream, {.name = "orders", .leaks = out.sink()});
#pragma clang loop unroll(disable)  // one place, also when optimised
    for (void*& each : small) each = small_one(memory);
    large = large_one(memory);
    memory.deallocate(memory.allocate(70), 70);
    EXPECT_EQ(out.text, "");
  }
  EXPECT_EQ(out.find("strata: orders: 4 blocks, 3144 bytes are live\n"), 0U) << out.text;
  const std::size_t first = out.find("\n  1 block, 3000 bytes\n");
  const std::size_t second = out.find("\n  3 blocks, 144 bytes\n");
  ASSERT_NE(first, std::string::npos) << out.text;
  ASSERT_NE(second, std::string::npos) << out.text;
  EXPECT_LT(first, second);
  const std::size_t large_named = out.find("large_one");
  EXPECT_TRUE(large_named > first && large_named < second) << out.text;
  EXPECT_GT(out.find("small_one"), second) << out.text;
  EXPECT_FALSE(out.has("70 bytes"));
  for (void* const each : small) upstream.deallocate(each, 48, 8);
  upstream.deallocate(large, 3000, 8);
}

TEST_F(TrackingAdaptor, SumsUpTheLeaksBeyondThoseAskedFor) {
  recording_resource upstream;
  written out;
  tracking_adaptor memory(&upstream);
  void* const a = small_one(memory);
  void* const b = large_one(memory);
  void* const c = memory.allocate(1);
  memory.write_live(out.sink(), 1);
  EXPECT_TRUE(out.has("  1 block, 3000 bytes\n")) << out.text;
  EXPECT_TRUE(out.has("  and 2 more call stacks: 2 blocks, 49 bytes\n")) << out.text;
  memory.deallocate(a, 48, 8);
  memory.deallocate(b, 3000, 8);
  memory.deallocate(c, 1);
}

TEST_F(TrackingAdaptor, SaysThatLeaksAreEstimates) {
  recording_resource upstream;
  written out;
  tracking_adaptor memory(&upstream, {.sample_bytes = 2000, .seed = 1});
  void* const p = memory.allocate(200'000);  // surely chosen
  memory.write_live(out.sink());
  EXPECT_TRUE(out.has(": 1 block, 200000 bytes is live; by call stack, from 1 samples, one in 2000 bytes\n"))
      << out.text;
  EXPECT_TRUE(out.has("  about 1 block, 200000 bytes\n")) << out.text;
  memory.deallocate(p, 200'000);
}

TEST_F(TrackingAdaptor, WritesNoLeaksWhenThereAreNoneOrNoneAreWanted) {
  recording_resource upstream;
  written out;
  {
    tracking_adaptor memory(&upstream, {.leaks = out.sink()});
  }
  void* p = nullptr;
  {
    tracking_adaptor memory(&upstream, {.leaks_at_end = false, .leaks = out.sink()});
    p = memory.allocate(10);
  }
  EXPECT_EQ(out.text, "");
  upstream.deallocate(p, 10);
}

TEST_F(TrackingAdaptor, KeepsNoStackWhenNoneIsWanted) {
  recording_resource upstream;
  written out;
  tracking_adaptor memory(&upstream, {.stack_depth = 0});
  void* const p = small_one(memory);
  memory.write_live(out.sink());
  EXPECT_TRUE(out.has("from nowhere: no call stack was kept")) << out.text;
  EXPECT_EQ(memory.places(), 1U);
  memory.deallocate(p, 48, 8);
}

TEST_F(TrackingAdaptor, RefusesOptionsThatCannotBe) {
  recording_resource upstream;
  EXPECT_THROW(tracking_adaptor(&upstream, {.stack_depth = 33}), std::invalid_argument);
}

// --- the order of things

/// Hands the very address that comes back to another thread, before deallocate() has returned.
class eager_upstream final : public std::pmr::memory_resource {
 public:
  explicit eager_upstream(std::size_t bytes) : block_(std::make_unique<std::byte[]>(bytes)) {}

  /// What the other thread does between this and deallocate()'s return.
  std::function<void()> meanwhile;

 private:
  void* do_allocate(std::size_t, std::size_t) override { return block_.get(); }
  void do_deallocate(void*, std::size_t, std::size_t) override {
    if (meanwhile) std::thread(std::exchange(meanwhile, nullptr)).join();
  }
  bool do_is_equal(const std::pmr::memory_resource& other) const noexcept override { return this == &other; }

  std::unique_ptr<std::byte[]> block_;
};

TEST_F(TrackingAdaptor, StrikesABlockOutBeforeItsAddressCanComeAgain) {
  for (const std::size_t sample_bytes : {0U, 2U}) {
    eager_upstream upstream(4096);
    tracking_adaptor memory(&upstream, {.sample_bytes = sample_bytes});
    void* const first = memory.allocate(4000);
    void* second = nullptr;
    upstream.meanwhile = [&] { second = memory.allocate(3000); };
    memory.deallocate(first, 4000);
    EXPECT_EQ(second, first);
    EXPECT_EQ(memory.stats().live, 3000U);
    EXPECT_EQ(sum_of(memory).live, 3000U);
    EXPECT_FALSE(memory.check().found());
    memory.deallocate(second, 3000);
    EXPECT_EQ(memory.stats().live, 0U);
  }
}

TEST_F(TrackingAdaptor, TellsABlockThatComesTwice) {
  for (const std::size_t sample_bytes : {0U, 2U}) {
    eager_upstream upstream(4096);
    tracking_adaptor memory(&upstream, {.sample_bytes = sample_bytes});
    void* const p = memory.allocate(1000);
    EXPECT_THROW(static_cast<void>(memory.allocate(2000)), allocation_error);
    EXPECT_NE(reported().find("handed out a block that is live"), std::string::npos);
    EXPECT_EQ(memory.stats().live, 1000U);
    EXPECT_EQ(memory.stats().allocations, 1U);
    memory.deallocate(p, 1000);
  }
}

TEST_F(TrackingAdaptor, TellsWrongReturnsAndChangesNothing) {
  recording_resource upstream;
  tracking_adaptor memory(&upstream, {.name = "orders"});
  void* const p = memory.allocate(100, 8);
  int stranger = 0;
  memory.deallocate(p, 99, 8);
  EXPECT_EQ(std::string(reports.at(0).layer), "orders");
  EXPECT_EQ(details.at(0), "allocated with 100 bytes, alignment 8");
  EXPECT_EQ(reported(), "a tracked block comes back with another size than it was allocated with");
  memory.deallocate(p, 100, 16);
  EXPECT_EQ(reported(), "a tracked block comes back with another alignment than it was allocated with");
  memory.deallocate(&stranger, 4, 4);
  EXPECT_EQ(reported(), "the pointer is no live block of this memory");
  EXPECT_EQ(memory.stats().live, 100U);
  EXPECT_EQ(upstream.live().blocks, 1U);
  memory.deallocate(p, 100, 8);
  memory.deallocate(p, 100, 8);
  EXPECT_EQ(reported(), "the pointer is no live block of this memory");
  EXPECT_EQ(memory.stats().live, 0U);
}

// --- what can fail

TEST_F(TrackingAdaptor, GivesABlockBackThatItCannotKnow) {
  unsigned refused = 0;
  test::fail_each(os_call::mmap, {ENOMEM}, [&](const os_script&) {
    recording_resource upstream;
    tracking_adaptor memory(&upstream);
    void* p = nullptr;
    try {
      p = memory.allocate(100);
    } catch (const allocation_error& e) {
      ++refused;
      EXPECT_NE(std::string(e.what()).find("no memory to remember"), std::string::npos) << e.what();
      EXPECT_EQ(upstream.live().blocks, 0U);
      EXPECT_EQ(memory.stats().allocations, 0U);
      EXPECT_EQ(memory.stats().failures, 1U);
      p = memory.allocate(100);
    }
    EXPECT_EQ(memory.stats().live, 100U);
    EXPECT_FALSE(memory.check().found());
    memory.deallocate(p, 100);
  });
  EXPECT_GE(refused, 3U);
}

TEST_F(TrackingAdaptor, LeavesASampleOutThatItCannotKeep) {
  recording_resource upstream;
  tracking_adaptor memory(&upstream, {.sample_bytes = 2});
  void* p = nullptr;
  {
    os_script script;
    script.fail_always(os_call::mmap, ENOMEM);
    p = memory.allocate(1000);
  }
  EXPECT_EQ(memory.unrecorded(), 1U);
  std::array<degradation, 4> states;
  ASSERT_GE(memory.degraded(states), 1U);
  EXPECT_EQ(states[0].times, 1U);
  EXPECT_EQ(memory.stats().live, 1000U);
  EXPECT_EQ(sum_of(memory).live, 0U);
  memory.deallocate(p, 1000);
  EXPECT_EQ(memory.stats().live, 0U);
}

TEST_F(TrackingAdaptor, CountsWhatUpstreamRefuses) {
  recording_resource source;
  failing_resource upstream(&source);
  tracking_adaptor memory(&upstream, {.sample_bytes = 2});
  upstream.at(1);
  EXPECT_THROW(static_cast<void>(memory.allocate(10)), std::bad_alloc);
  EXPECT_EQ(memory.stats().failures, 1U);
  EXPECT_EQ(memory.stats().allocations, 0U);
  EXPECT_EQ(memory.places(), 0U);
}

TEST_F(TrackingAdaptor, AsksNeitherTheHeapNorTheDefaultResource) {
  stack memory{pages{}, slabs{}, tracking{.sample_bytes = 100, .seed = 3}};
  std::vector<void*> blocks(2000);
  const test::counting_default heap;
  for (void*& each : blocks) each = memory.allocate(64);
  for (void* const each : blocks) memory.deallocate(each, 64);
  EXPECT_EQ(heap.used(), test::heap_use{});
}

// --- processes, stacks

TEST_F(TrackingAdaptor, AChildOfForkGoesOn) {
  stack memory{pages{}, slabs{}, tracking{.sample_bytes = 64, .leaks_at_end = false}};
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&] {
      while (!stop) memory.deallocate(memory.allocate(100), 100);
    });
  }
  void* const p = memory.allocate(1'000'000);
  for (int i = 0; i < 20; ++i) {
    const pid_t child = ::fork();
    if (child == 0) {
      memory.deallocate(p, 1'000'000);
      for (int k = 0; k < 100; ++k) memory.deallocate(memory.allocate(100), 100);
      ::_exit(memory.check().found() ? 1 : 0);
    }
    int status = -1;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFEXITED(status));
    ASSERT_EQ(WEXITSTATUS(status), 0);
  }
  stop = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(memory.stats().live, 1'000'000U);
  memory.deallocate(p, 1'000'000);
}

TEST_F(TrackingAdaptor, StandsOnTopOfAnyStack) {
  stack one{pages{}, heap{}, synchronized{}, tracking{}};
  static_assert(decltype(one)::thread_safe);
  one.deallocate(one.allocate(100), 100);
  stack two{pages{}, unsynchronized_slabs{}, tracking{.sample_bytes = 64}};
  static_assert(!decltype(two)::thread_safe);
  for (int i = 0; i < 100; ++i) two.deallocate(two.allocate(100), 100);
  EXPECT_EQ(two.stats().allocations, 100U);
  stack three{pages{}, slabs{}, tracking{}, debug{}};
  three.deallocate(three.allocate(100), 100);
  EXPECT_FALSE(three.check().found());
}

TEST_F(TrackingAdaptor, ReleaseVoidsAllBlocks) {
  for (const std::size_t sample_bytes : {0U, 64U}) {
    written out;
    {
      stack memory{pages{}, slabs{}, tracking{.sample_bytes = sample_bytes, .leaks = out.sink()}};
      for (int i = 0; i < 100; ++i) static_cast<void>(memory.allocate(100));
      memory.release();
      EXPECT_EQ(memory.stats().live, 0U);
      EXPECT_EQ(memory.stats().live_blocks, 0U);
      EXPECT_EQ(sum_of(memory.top()).live, 0U);
      EXPECT_FALSE(memory.check().found());
    }
    EXPECT_EQ(out.text, "");
  }
}

}  // namespace
}  // namespace strata::pmr
