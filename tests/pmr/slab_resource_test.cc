// SPDX-License-Identifier: Apache-2.0
// Claims beyond conformance: figures add up, over threads too; blocks freed by another thread, after their thread's
// end, in destructors of thread_local and static objects; 100 000 thread lives without growth; a resource's end leaves
// living threads usable; forks while eight threads allocate; everything freed and trimmed is given back; spans and
// large blocks stay within the hysteresis; a double deallocation is reported when it reaches its slab, and with checks, as
// every misuse, at once; what was reserved is kept; options that cannot be are refused; upstream is
// never entered under a lock.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <cstring>
#include <latch>
#include <memory>
#include <memory_resource>
#include <new>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/support/failing_resource.h"
#include "tests/support/recording_resource.h"
#include "tests/support/sanitizer.h"

import strata.mem;
import strata.pmr;

namespace strata::pmr {
namespace {

constexpr std::size_t mib = std::size_t{1} << 20;
constexpr bool slow = test::under_asan || test::under_tsan;

using memory_type = stack<pages, slabs>;

void expect_sums(const statistics& s) { EXPECT_EQ(s.upstream, s.live + s.kept + s.overhead); }

// Used from static constructors to static destructors.
memory_type& immortal() {
  alignas(memory_type) static std::byte place[sizeof(memory_type)];
  static memory_type* const made = ::new (place) memory_type(pages{}, slabs{});
  return *made;
}
struct user_at_both_ends {
  std::pmr::string text{"longer than any short string optimisation would ever hold", &immortal()};
  ~user_at_both_ends() { text.append(text); }
};
user_at_both_ends from_start_to_end;

TEST(SlabResource, IsUsableInStaticConstructorsAndDestructors) {
  EXPECT_EQ(from_start_to_end.text.size(), 57U);
  EXPECT_GE(immortal().stats().live, 57U);
}

TEST(SlabResource, FiguresAddUpOverThreads) {
  memory_type memory{pages{}, slabs{}};
  std::vector<std::vector<void*>> blocks(4);
  std::vector<std::thread> threads;
  for (std::vector<void*>& mine : blocks) {
    threads.emplace_back([&] {
      for (std::size_t i = 0; i < 1000; ++i) mine.push_back(memory.allocate(i));
    });
  }
  for (std::thread& t : threads) t.join();
  const statistics s = memory.get<1>().stats();
  EXPECT_EQ(s.live, 4U * 999 * 1000 / 2);
  EXPECT_EQ(s.live_blocks, 4000U);
  EXPECT_EQ(s.upstream, memory.get<0>().stats().live);
  expect_sums(s);
  for (const std::vector<void*>& each : blocks) {
    for (std::size_t i = 0; i < 1000; ++i) memory.deallocate(each[i], i);
  }
  EXPECT_EQ(memory.stats().live, 0U);
  EXPECT_EQ(memory.stats().live_blocks, 0U);
  expect_sums(memory.stats());
  EXPECT_FALSE(memory.check().found());
}

TEST(SlabResource, GivesEverythingBackWhenFreedAndTrimmed) {
  memory_type memory{pages{}, slabs{}};
  std::vector<std::pair<void*, std::size_t>> blocks;
  for (std::size_t i = 0; i < 20'000; ++i) {
    const std::size_t bytes = 16 + i * 37 % 3000;
    blocks.emplace_back(memory.allocate(bytes), bytes);
  }
  EXPECT_GT(memory.stats().upstream, 25 * mib);
  for (const auto& [p, bytes] : blocks) memory.deallocate(p, bytes);
  EXPECT_GT(memory.top().trim(), 0U);
  const statistics s = memory.stats();
  EXPECT_EQ(s.live, 0U);
  EXPECT_LE(s.upstream, 2 * mib) << "the span with this thread's cache";
  EXPECT_EQ(memory.get<0>().stats().upstream, s.upstream);
}

TEST(SlabResource, KeepsSpansAndLargeBlocksWithinTheHysteresis) {
  test::recording_resource upstream;
  slab_resource memory(&upstream, slabs{.keep_empty = 4 * mib, .keep_large = 1 * mib});
  std::vector<void*> blocks;
  for (int i = 0; i < 10'000; ++i) blocks.push_back(memory.allocate(4096));
  EXPECT_GT(memory.stats().upstream, 40 * mib);
  for (void* const p : blocks) memory.deallocate(p, 4096);
  EXPECT_LE(memory.stats().upstream, 8 * mib);

  for (int i = 0; i < 8; ++i) blocks[static_cast<std::size_t>(i)] = memory.allocate(300'000);
  const std::size_t with_large = memory.stats().upstream;
  for (int i = 0; i < 8; ++i) memory.deallocate(blocks[static_cast<std::size_t>(i)], 300'000);
  EXPECT_EQ(memory.stats().upstream, with_large - 5 * 303'104) << "three of 74 pages each fit in 1 MiB";
  expect_sums(memory.stats());
  EXPECT_EQ(memory.allocate(299'999), blocks[7]) << "one freed last serves a size that rounds alike";
  memory.release();
  EXPECT_EQ(memory.stats().upstream, 0U);
}

TEST(SlabResource, AnyThreadFreesWhatAThreadThatEndedLeft) {
  memory_type memory{pages{}, slabs{}};
  std::vector<void*> blocks;
  std::thread([&] {
    for (int i = 0; i < 10'000; ++i) blocks.push_back(memory.allocate(100));
  }).join();
  std::thread([&] {
    for (void* const p : blocks) memory.deallocate(p, 100);
  }).join();
  EXPECT_EQ(memory.stats().live, 0U);
  memory.top().trim();
  if (mem::inspected()) {
    EXPECT_LE(memory.stats().upstream, 2 * mib) << "blocks waited, and the thread that trimmed gave them back";
  } else {
    EXPECT_EQ(memory.stats().upstream, 0U) << "no thread that lives has a cache";
  }
  EXPECT_FALSE(memory.check().found());
}

// Frees when the thread's C++ thread_locals are destroyed.
struct frees_at_thread_end {
  memory_type* memory = nullptr;
  void* block = nullptr;
  ~frees_at_thread_end() {
    if (memory == nullptr) return;
    memory->deallocate(block, 100);
    memory->deallocate(memory->allocate(5000), 5000);
  }
};
thread_local frees_at_thread_end holder;

TEST(SlabResource, ServesDestructorsOfThreadLocals) {
  memory_type memory{pages{}, slabs{}};
  for (int i = 0; i < 100; ++i) {
    void* const from_here = memory.allocate(100);
    std::thread([&] {
      holder.memory = &memory;
      holder.block = from_here;
      if (i % 2 == 0) memory.deallocate(memory.allocate(64), 64);
    }).join();
  }
  EXPECT_EQ(memory.stats().live, 0U);
  EXPECT_FALSE(memory.check().found());
}

TEST(SlabResource, ThreadLivesLeaveNothingBehind) {
  memory_type memory{pages{}, slabs{}};
  const int lives = slow ? 5'000 : 100'000;
  std::size_t after_first = 0;
  for (int i = 0; i < lives; ++i) {
    std::thread([&] {
      void* const a = memory.allocate(48);
      void* const b = memory.allocate(3000);
      memory.deallocate(a, 48);
      memory.deallocate(b, 3000);
    }).join();
    if (i == 0) after_first = memory.stats().upstream;
  }
  EXPECT_EQ(memory.stats().upstream, after_first);
  EXPECT_EQ(memory.stats().live, 0U);
}

TEST(SlabResource, ItsEndLeavesLivingThreadsUsable) {
  auto first = std::make_unique<memory_type>(pages{}, slabs{});
  std::latch used(1);
  std::latch gone(1);
  memory_type* second = nullptr;
  std::thread other([&] {
    first->deallocate(first->allocate(64), 64);
    used.count_down();
    gone.wait();
    void* const p = second->allocate(64);
    std::memset(p, 1, 64);
    second->deallocate(p, 64);
  });
  used.wait();
  first.reset();
  memory_type again{pages{}, slabs{}};
  second = &again;
  gone.count_down();
  other.join();
  EXPECT_EQ(again.stats().live, 0U);
  EXPECT_FALSE(again.check().found());
}

TEST(SlabResource, ChildrenOfForksCanAllocateWhileEightThreadsOfTheParentDid) {
  memory_type memory{pages{}, slabs{}};
  void* const before = memory.allocate(100);
  std::atomic<bool> done{false};
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&] {
      void* blocks[64];
      while (!done) {
        for (std::size_t i = 0; i < 64; ++i) blocks[i] = memory.allocate(16 + i * 150);
        for (std::size_t i = 0; i < 64; ++i) memory.deallocate(blocks[i], 16 + i * 150);
      }
    });
  }
  for (int i = 0; i < (slow ? 50 : 300); ++i) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      for (std::size_t size = 1; size < 100'000; size += 997) memory.deallocate(memory.allocate(size), size);
      memory.deallocate(before, 100);
      ::_exit(0);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "child " << i;
  }
  done = true;
  for (std::thread& t : threads) t.join();
  memory.deallocate(before, 100);
  EXPECT_EQ(memory.stats().live, 0U);
  EXPECT_FALSE(memory.check().found());
}

std::vector<misuse> reports;
void remember(const misuse& what) { reports.push_back(what); }

// An inspector has a second deallocation told at once, in the words that all keepers have then: inspected_blocks_test.
constexpr const char* told_by_inspection = "blocks are judged before they reach a slab";

TEST(SlabResource, ReportsABlockDeallocatedTwiceWhenItReachesItsSlab) {
  if (mem::inspected()) GTEST_SKIP() << told_by_inspection;
  memory_type memory{pages{}, slabs{.name = "orders"}};
  void* const p = memory.allocate(64);
  memory.deallocate(p, 64);
  memory.deallocate(p, 64);
  reports.clear();
  set_misuse_handler(remember);
  memory.top().trim();
  set_misuse_handler(nullptr);
  ASSERT_EQ(reports.size(), 1U);
  EXPECT_STREQ(reports[0].layer, "orders");
  EXPECT_STREQ(reports[0].sentence, "the block was deallocated twice");
  EXPECT_EQ(reports[0].pointer, p);
}

struct reported {
  reported() {
    reports.clear();
    set_misuse_handler(remember);
  }
  ~reported() { set_misuse_handler(nullptr); }
  std::vector<std::string> sentences() const {
    std::vector<std::string> all;
    for (const misuse& each : reports) all.emplace_back(each.sentence);
    return all;
  }
};

TEST(SlabResource, ReportsWhatAThreadThatEndedFreedTwice) {
  if (mem::inspected()) GTEST_SKIP() << told_by_inspection;
  memory_type memory{pages{}, slabs{}};
  void* const p = memory.allocate(64);
  std::thread([&] {
    memory.deallocate(p, 64);
    memory.deallocate(p, 64);
  }).join();
  const reported heard;
  memory.top().trim();
  EXPECT_EQ(heard.sentences(), (std::vector<std::string>{"the block was deallocated twice"}));
}

template <class Options>
void tells_at_once() {
  stack memory{pages{}, Options{.name = "checked", .checks = true}};
  auto* const p = static_cast<std::byte*>(memory.allocate(64));
  auto* const other = static_cast<std::byte*>(memory.allocate(64));
  static std::byte elsewhere[64];
  const reported heard;
  memory.deallocate(elsewhere, 64);
  memory.deallocate(p, 4000);
  memory.deallocate(p + 8, 64);
  EXPECT_EQ(reports.size(), 3U);
  memory.deallocate(p, 64);
  EXPECT_EQ(reports.size(), 3U);
  memory.deallocate(p, 64);
  EXPECT_EQ(heard.sentences(),
            (std::vector<std::string>{
                "not a block of this resource", "deallocated with another size or alignment than it was allocated with",
                "an address inside a block, or a block deallocated with another size or alignment than it was "
                "allocated with",
                "the block was deallocated twice"}));
  EXPECT_EQ(memory.stats().live_blocks, 1U) << "what was refused changed nothing";
  memory.deallocate(other, 64);
  EXPECT_EQ(reports.size(), 4U);
  EXPECT_FALSE(memory.check().found());
}

TEST(SlabResource, WithChecksTellsEveryMisuseAtOnce) {
  if (mem::inspected()) GTEST_SKIP() << told_by_inspection;
  tells_at_once<slabs>();
  tells_at_once<unsynchronized_slabs>();
}

TEST(SlabResource, WithChecksOneOfManyThreadsMayFreeABlock) {
  stack memory{pages{}, slabs{.checks = true}};
  static std::atomic<int> refused;
  refused = 0;
  set_misuse_handler([](const misuse&) { ++refused; });
  for (int round = 0; round < 200; ++round) {
    void* const p = memory.allocate(48);
    std::latch start(2);
    const auto free = [&] {
      start.arrive_and_wait();
      memory.deallocate(p, 48);
    };
    std::thread a(free);
    std::thread b(free);
    a.join();
    b.join();
  }
  set_misuse_handler(nullptr);
  EXPECT_EQ(refused, 200);
  EXPECT_EQ(memory.stats().live, 0U);
  EXPECT_FALSE(memory.check().found());
}

TEST(SlabResource, HasAFormForOneThreadOverALayerForOneThread) {
  stack memory{pages{}, heap{}, unsynchronized_slabs{.largest = 1024}};
  EXPECT_FALSE(decltype(memory)::thread_safe);
  std::vector<std::pair<void*, std::size_t>> blocks;
  for (std::size_t i = 0; i < 20'000; ++i) {
    const std::size_t bytes = i * 37 % 3000;
    blocks.emplace_back(memory.allocate(bytes), bytes);
  }
  EXPECT_FALSE(memory.check().found());
  for (const auto& [p, bytes] : blocks) memory.deallocate(p, bytes);
  EXPECT_EQ(memory.stats().live, 0U);
  expect_sums(memory.top().stats());
  memory.top().trim();
  EXPECT_LE(memory.top().stats().upstream, 2 * mib) << "the span with the cache";
}

TEST(SlabResource, SendsWhatIsLargerThanAskedForUpstream) {
  test::recording_resource upstream;
  slab_resource memory(&upstream, slabs{.largest = 512});
  void* const small = memory.allocate(512);
  const std::size_t before = memory.stats().upstream;
  void* const large = memory.allocate(513);
  EXPECT_EQ(memory.stats().upstream, before + 4096);
  memory.deallocate(small, 512);
  memory.deallocate(large, 513);
}

TEST(SlabResource, RefusesOptionsThatCannotBe) {
  const auto text = [](const slabs& options) -> std::string {
    try {
      const stack memory{pages{}, options};
    } catch (const std::invalid_argument& refused) {
      return refused.what();
    }
    return "taken";
  };
  EXPECT_NE(text({.largest = 65'537}).find("65537"), std::string::npos);
  EXPECT_NE(text({.slab_bytes = 48 << 10}).find("49152"), std::string::npos);
  EXPECT_NE(text({.slab_bytes = 2 << 20}).find("1048576"), std::string::npos);
  EXPECT_EQ(text({.slab_bytes = 1 << 20}), "taken");
}

TEST(SlabResource, WorksWithEverySlabSizeAndWithoutCaches) {
  for (std::size_t slab_bytes = 16 << 10; slab_bytes <= mib; slab_bytes *= 2) {
    stack memory{pages{}, slabs{.slab_bytes = slab_bytes, .cache_bytes = slab_bytes == mib ? 0U : mib}};
    std::vector<std::pair<void*, std::size_t>> blocks;
    for (std::size_t bytes = 1; bytes < 65'536; bytes += 1 + bytes / 16) {
      for (int i = 0; i < 9; ++i) {
        blocks.emplace_back(memory.allocate(bytes), bytes);
        std::memset(blocks.back().first, i, bytes);
      }
    }
    EXPECT_FALSE(memory.check().found()) << slab_bytes;
    for (const auto& [p, bytes] : blocks) memory.deallocate(p, bytes);
    EXPECT_EQ(memory.stats().live, 0U);
    EXPECT_FALSE(memory.check().found()) << slab_bytes;
  }
}

TEST(SlabResource, KeepsWhatWasReserved) {
  test::recording_resource upstream;
  slab_resource memory(&upstream, slabs{.keep_empty = 0});
  memory.reserve(9 * mib);
  EXPECT_EQ(memory.stats().upstream, 10 * mib) << "whole spans";
  const std::size_t asked = memory.stats().upstream;
  std::vector<void*> blocks;
  for (int i = 0; i < 2000; ++i) blocks.push_back(memory.allocate(4096));
  EXPECT_EQ(memory.stats().upstream, asked) << "8 MiB came out of what was reserved";
  for (void* const p : blocks) memory.deallocate(p, 4096);
  EXPECT_EQ(memory.stats().upstream, asked);
  memory.trim();
  EXPECT_LE(memory.stats().upstream, 2 * mib);
  expect_sums(memory.stats());
}

TEST(SlabResource, KeepsWhatItGotWhenReservingFails) {
  test::failing_resource upstream(std::pmr::new_delete_resource());
  slab_resource memory(static_cast<std::pmr::memory_resource*>(&upstream), slabs{});
  upstream.from(3);
  EXPECT_THROW(memory.reserve(20 * mib), std::bad_alloc);
  EXPECT_EQ(memory.stats().upstream, 4 * mib);
  EXPECT_EQ(memory.stats().failures, 1U);
  expect_sums(memory.stats());
}

// An upstream that uses the layer above it while it is asked: a lock held across the call would never be got.
class reentrant final : public std::pmr::memory_resource {
 public:
  std::pmr::memory_resource* above = nullptr;

 private:
  void use_above() {
    std::pmr::memory_resource* const top = std::exchange(above, nullptr);
    if (top == nullptr) return;
    top->deallocate(top->allocate(100'000), 100'000);
    above = top;
  }
  void* do_allocate(std::size_t bytes, std::size_t alignment) override {
    use_above();
    return std::pmr::new_delete_resource()->allocate(bytes, alignment);
  }
  void do_deallocate(void* p, std::size_t bytes, std::size_t alignment) override {
    use_above();
    std::pmr::new_delete_resource()->deallocate(p, bytes, alignment);
  }
  [[nodiscard]] bool do_is_equal(const std::pmr::memory_resource& other) const noexcept override {
    return this == &other;
  }
};

TEST(SlabResource, EntersUpstreamWithoutALock) {
  reentrant upstream;
  slab_resource memory(static_cast<std::pmr::memory_resource*>(&upstream), slabs{.keep_empty = 0, .keep_large = 0});
  upstream.above = &memory;
  std::vector<void*> blocks;
  for (int i = 0; i < 2000; ++i) blocks.push_back(memory.allocate(4096));
  for (void* const p : blocks) memory.deallocate(p, 4096);
  memory.deallocate(memory.allocate(1 << 20), 1 << 20);
  memory.trim();
  EXPECT_EQ(memory.stats().live, 0U);
  upstream.above = nullptr;
}

}  // namespace
}  // namespace strata::pmr
