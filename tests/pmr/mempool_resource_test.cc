// SPDX-License-Identifier: Apache-2.0
// Claims beyond conformance: one request to upstream, ever; small blocks come from the small heap, multiples of a fragment
// and others from fragments, aligned ones too (S1-10, D1-08, D1-25); blocks go back with or without their size; used and
// free add up to the segment after any run of all three allocators (W1-05); reallocation keeps the pointer when it fits, or
// trims when told to, keeps contents, leaks nothing in 10⁶ steps and leaves the block as it was when it fails (W1-12,
// D1-13, D1-14); each misuse is a sentence of its own and changes nothing (W1-13, D1-15, D1-24); exhaustion throws with
// what is free, ends the process, or leaves a reserve (W1-06); owners are known (W1-09); forks, threads, degraded states.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory_resource>
#include <new>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/os_script/os_script.h"
#include "tests/support/failing_resource.h"
#include "tests/support/recording_resource.h"

import strata.mem;
import strata.pmr;

namespace strata::pmr {
namespace {

using kind = mempool_owner::kind;

std::vector<misuse> reports;

// While an inspector runs the process, more is known of each block, and said in other sentences.
const char* said(const char* otherwise, const char* inspected) { return mem::inspected() ? inspected : otherwise; }

template <class Pool>
void expect_whole(const Pool& pool) {
  const statistics segment = pool.segment().stats();
  EXPECT_EQ(segment.upstream, segment.live + segment.kept + segment.overhead);
  const statistics s = pool.stats();
  EXPECT_EQ(s.upstream, segment.live) << "what the pool has from the segment is what that handed out";
  EXPECT_EQ(s.upstream, s.live + s.kept + s.overhead);
  EXPECT_FALSE(pool.check().found()) << pool.check().sentence;
}

struct MempoolResource : testing::Test {
  void SetUp() override {
    reports.clear();
    set_misuse_handler([](const misuse& what) { reports.push_back(what); });
  }
  void TearDown() override {
    set_misuse_handler(nullptr);
    expect_whole(pool);
    EXPECT_EQ(upstream.request_count(), 1U) << "autonomous";
  }
  void expect_report(const std::string& sentence) {
    ASSERT_EQ(reports.size(), 1U) << "expected: " << sentence;
    EXPECT_EQ(reports[0].sentence, sentence);
    EXPECT_STREQ(reports[0].layer, "mempool");
    reports.clear();
    expect_whole(pool);
  }

  test::recording_resource upstream;
  mempool_resource<> pool{&upstream};
};

TEST_F(MempoolResource, DispatchesBySizeAndAlignment) {
  for (const std::size_t bytes : {0U, 1U, 4U, 100U, 255U, 256U, 257U, 512U, 8192U, 100'000U}) {
    for (const std::size_t alignment : {1U, 16U, 32U, 256U, 4096U}) {
      void* const p = pool.allocate(bytes, alignment);
      const bool small = bytes < 256 && alignment <= 16;
      std::size_t aligned = std::max<std::size_t>(alignment, small ? 16 : 256);
      if (mem::inspected()) {
        aligned = alignment;  // what lies in front of the block is, and counts with it
      } else {
        EXPECT_EQ(pool.owner(p).what, small ? kind::heap_page : kind::block) << bytes << " at " << alignment;
      }
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(p) % aligned, 0U);
      EXPECT_GE(pool.usable_size(p), bytes);
      std::memset(p, 0xFF, pool.usable_size(p));
      pool.deallocate(p, bytes, alignment);
    }
  }
  EXPECT_TRUE(reports.empty());
}

// D1-25: the range is stated in one place.
TEST_F(MempoolResource, HasTheSmallHeapsRangeAsAnOption) {
  test::recording_resource other;
  mempool_resource wide(&other, {.heap_largest = 500});
  mempool_resource none(&other, {.heap_largest = 0});
  for (const std::size_t bytes : {0U, 4U, 300U, 500U, 501U}) {
    void* const p = wide.allocate(bytes);
    const std::size_t room = mem::inspected() ? 31 : 0;  // with what is hidden round the block
    EXPECT_EQ(wide.owner(p).what, bytes + room <= 500 ? kind::heap_page : kind::block) << bytes;
    wide.deallocate(p);
    void* const q = none.allocate(bytes);
    EXPECT_EQ(none.owner(q).what, kind::block);
    none.deallocate(q);
  }
  EXPECT_THROW(mempool_resource<>(&other, {.segment_bytes = 1}), std::invalid_argument);
  EXPECT_THROW(mempool_resource<>(&other, {.segment_bytes = 8192}), allocation_error) << "no room for its own books";
  EXPECT_EQ(other.live().blocks, 2U) << "nothing leaks from a constructor that throws";
}

TEST_F(MempoolResource, AddsUpToItsSegmentAfterAnyRun) {
  const std::uint64_t seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937_64 random(seed);
  mempool_cache items(&pool, {.item_bytes = 72});
  const statistics start = pool.segment().stats();
  std::vector<std::pair<void*, std::size_t>> blocks;
  std::vector<void*> out;
  for (int i = 0; i < 100'000; ++i) {
    try {
      switch (random() % 8) {
        case 0:
        case 1:
          blocks.emplace_back(pool.allocate(blocks.size() % 300), blocks.size() % 300);
          break;
        case 2:
          blocks.emplace_back(pool.allocate(random() % 20'000 + 256, 1), 0);
          break;
        case 3:
          out.push_back(items.request());
          break;
        default:
          if (i % 2 == 0 && !blocks.empty()) {
            std::swap(blocks[random() % blocks.size()], blocks.back());
            pool.deallocate(blocks.back().first);
            blocks.pop_back();
          } else if (!out.empty()) {
            std::swap(out[random() % out.size()], out.back());
            items.recycle(out.back());
            out.pop_back();
          }
      }
    } catch (const std::bad_alloc&) {
    }
    if (i % 10'000 == 0) expect_whole(pool);
  }
  for (const auto& [p, bytes] : blocks) pool.deallocate(p);
  for (void* const p : out) items.recycle(p);
  items.release();
  pool.trim();
  const statistics end = pool.segment().stats();
  EXPECT_EQ(end.live, start.live);
  EXPECT_EQ(end.kept, start.kept);
  EXPECT_EQ(pool.stats().live, 0U);
  EXPECT_EQ(pool.stats().live_blocks, 0U);
  EXPECT_TRUE(reports.empty());
}

TEST_F(MempoolResource, KeepsThePointerOfABlockThatShrinks) {
  for (const std::size_t bytes : {200U, 10'000U}) {
    void* const p = pool.allocate(bytes);
    const std::size_t holds = pool.usable_size(p);
    EXPECT_EQ(pool.reallocate(p, 10), p);
    EXPECT_EQ(pool.usable_size(p), holds);
    EXPECT_EQ(pool.reallocate(p, holds), p);
    pool.deallocate(p);
  }
}

TEST_F(MempoolResource, TrimsABlockThatShrinksWhenToldTo) {
  test::recording_resource other;
  mempool_resource trimming(&other, {.trims_on_shrink = true});
  void* const large = trimming.allocate(10'000);
  EXPECT_EQ(trimming.reallocate(large, 300), large);
  if (!mem::inspected()) EXPECT_EQ(trimming.usable_size(large), 512U);
  void* const small = trimming.allocate(200);
  EXPECT_EQ(trimming.reallocate(small, 20), small);
  if (!mem::inspected()) EXPECT_LT(trimming.usable_size(small), 64U);
  expect_whole(trimming);
  trimming.deallocate(large);
  trimming.deallocate(small);
  EXPECT_EQ(trimming.stats().live, 0U);
}

TEST_F(MempoolResource, ReallocatesAMillionTimesWithoutALeak) {
  const std::uint64_t seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937_64 random(seed);
  struct entry {
    unsigned char* p = nullptr;
    std::size_t bytes = 0;
  };
  std::vector<entry> blocks(64);
  const std::size_t start = pool.stats().live;
  for (int i = 0; i < 1'000'000; ++i) {
    entry& e = blocks[random() % blocks.size()];
    const std::size_t bytes = 1 + random() % (random() % 16 == 0 ? 20'000 : 600);
    unsigned char* now = nullptr;
    try {
      now = static_cast<unsigned char*>(pool.reallocate(e.p, bytes));
    } catch (const std::bad_alloc&) {
      continue;  // as it was
    }
    const auto mark = static_cast<unsigned char>(&e - blocks.data());
    if (e.p != nullptr) {
      ASSERT_EQ(now[0], mark);
      ASSERT_EQ(now[std::min(bytes, e.bytes) - 1], mark);
    }
    std::memset(now, mark, bytes);
    e = {now, bytes};
  }
  for (const entry& e : blocks) pool.deallocate(e.p);
  EXPECT_EQ(pool.stats().live, start);
  EXPECT_TRUE(reports.empty());
}

TEST_F(MempoolResource, LeavesABlockAsItWasWhenItCannotGrow) {
  auto* const p = static_cast<unsigned char*>(pool.reallocate(nullptr, 1000));
  std::memset(p, 5, 1000);
  EXPECT_THROW((void)pool.reallocate(p, std::size_t{1} << 30), std::bad_alloc);
  EXPECT_EQ(p[999], 5);
  EXPECT_GE(pool.usable_size(p), 1000U);
  pool.deallocate(p);
}

TEST_F(MempoolResource, SaysWhatIsWrongAndChangesNothing) {
  auto* const small = static_cast<std::byte*>(pool.allocate(100));
  auto* const large = static_cast<std::byte*>(pool.allocate(1000));
  std::byte foreign{};
  pool.deallocate(nullptr);
  EXPECT_TRUE(reports.empty());
  pool.deallocate(&foreign);
  expect_report(
      said("deallocated a block that lies in no region of this allocator", "a pointer comes back that is of no block"));
  pool.deallocate(large + 256);
  expect_report(said("deallocated a pointer into a block, not its start",
                     "a pointer comes back that lies inside a block and is not its start"));
  pool.deallocate(large, 2000);
  expect_report(said("deallocated a block with another size than it was allocated with",
                     "a block comes back with another size than it was allocated with"));
  pool.deallocate(small + 16);
  ASSERT_EQ(reports.size(), 1U);
  reports.clear();
  pool.deallocate(small, 200, 1);
  expect_report(said("deallocated a block with more bytes than it has",
                     "a block comes back with another size than it was allocated with"));
  EXPECT_THROW((void)pool.reallocate(&foreign, 10), allocation_error);
  expect_report("reallocated what is no live block of this pool");
  pool.deallocate(static_cast<std::byte*>(pool.owner(small).start));
  ASSERT_EQ(reports.size(), 1U) << "a page of the heap is no block";
  reports.clear();
  pool.deallocate(large);
  pool.deallocate(large);
  expect_report(said("deallocated a block that is free already", "a block comes back that was deallocated before"));
  pool.deallocate(small);
  pool.deallocate(small);
  ASSERT_EQ(reports.size(), 1U);
  reports.clear();
}

TEST_F(MempoolResource, SaysWhatIsFreeOrEndsTheProcess) {
  test::recording_resource other;
  mempool_resource vital(&other, {.name = "vital", .when_exhausted = exhaustion::aborts});
  EXPECT_DEATH((void)vital.allocate(std::size_t{4} << 20),
               "strata: vital cannot allocate 4194304 bytes aligned to 16: no run of free fragments is long enough "
               ".[0-9]+ bytes free, [0-9]+ in one piece.");
  mempool_cache items(&vital, mempool_items{.item_bytes = 512});
  EXPECT_DEATH(
      {
        for (;;) (void)items.request();
      },
      "strata: fragments cannot allocate [0-9]+ bytes");
  std::string sentence;
  try {
    for (;;) (void)pool.allocate(40);
  } catch (const allocation_error& e) {
    sentence = e.what();
  }
  EXPECT_EQ(
      sentence.find("strata: mempool cannot allocate 40 bytes aligned to 16: no run of free fragments is long enough"),
      0U)
      << sentence;
  EXPECT_EQ(pool.stats().failures, 1U);
}

TEST_F(MempoolResource, KeepsAReserveForWhatMustNotFail) {
  test::recording_resource other;
  mempool_resource guarded(&other, {.reserve_bytes = 64 * 1024});
  std::vector<void*> small;
  try {
    for (;;) small.push_back(guarded.allocate(100));
  } catch (const allocation_error& e) {
    EXPECT_NE(std::string(e.what()).find("in reserve for critical requests"), std::string::npos) << e.what();
  }
  try {
    for (;;) small.push_back(guarded.allocate(256));
  } catch (const std::bad_alloc&) {
  }
  // Under an inspector a block takes two fragments, and one may be over.
  const std::size_t over = mem::inspected() ? guarded.segment().left().free % 512 : 0;
  EXPECT_EQ(guarded.segment().left().free - over, 64U * 1024) << "the reserve, to the byte";
  void* const message = guarded.critical().allocate(100);
  void* const log = guarded.critical().allocate(40'000);
  EXPECT_THROW((void)guarded.critical().allocate(40'000), std::bad_alloc);
  guarded.deallocate(message);
  guarded.critical().deallocate(log, 40'000);
  for (void* const p : small) guarded.deallocate(p);
  EXPECT_EQ(guarded.stats().live, 0U);
  expect_whole(guarded);
}

TEST_F(MempoolResource, KnowsTheOwnerOfEveryAddress) {
  void* const small = pool.allocate(10);
  auto* const large = static_cast<std::byte*>(pool.allocate(5000));
  // What is hidden in front of a block belongs to it.
  EXPECT_EQ(pool.owner(large + 4999).start, mem::inspected() ? large - 16 : large);
  EXPECT_EQ(pool.owner(large + 4999).bytes, 5120U);
  EXPECT_EQ(pool.owner(small).bytes, 8192U);
  EXPECT_EQ(pool.owner(large + 5120).what, kind::nobody);
  EXPECT_EQ(pool.owner(nullptr).what, kind::nobody);
  std::size_t books = 0;
  for (std::ptrdiff_t i = -2'000'000; i < 2'000'000; i += 256) {
    const mempool_owner owner =
        pool.owner(reinterpret_cast<void*>(reinterpret_cast<std::uintptr_t>(large) + static_cast<std::uintptr_t>(i)));
    books += owner.what == kind::books;
    if (owner.what == kind::books) EXPECT_EQ(pool.usable_size(owner.start), 0U) << "not to be given back";
  }
  EXPECT_GT(books, 100U);
  pool.deallocate(small);
  pool.deallocate(large);
}

// D1-16: pages came and went under threads that still used them.
TEST_F(MempoolResource, ServesManyThreadsThatFreeEachOthersBlocks) {
  constexpr std::size_t crew = 4;
  struct block {
    unsigned char* p;
    std::size_t bytes;
  };
  std::vector<std::atomic<unsigned char*>> mail(256);
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < crew; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937_64 random(t);
      for (int i = 0; i < 10'000; ++i) {
        const std::size_t bytes = 8 + random() % (random() % 8 == 0 ? 3000 : 250);
        unsigned char* p = nullptr;
        try {
          p = static_cast<unsigned char*>(pool.allocate(bytes));
          std::memset(p, 0x5A, bytes);
        } catch (const std::bad_alloc&) {
        }
        p = mail[random() % mail.size()].exchange(p, std::memory_order_acq_rel);
        if (p == nullptr) continue;
        wrong += p[0] != 0x5A || p[7] != 0x5A;
        if (random() % 2 == 0) p = static_cast<unsigned char*>(pool.reallocate(p, 8));
        pool.deallocate(p);
        if (i % 1000 == 0) pool.trim();
      }
    });
  }
  for (std::thread& t : threads) t.join();
  for (auto& p : mail) pool.deallocate(p.load());
  EXPECT_EQ(wrong, 0);
  EXPECT_TRUE(reports.empty());
  EXPECT_EQ(pool.stats().live, 0U);
}

TEST_F(MempoolResource, GoesOnInAChildOfFork) {
  std::atomic<bool> stop{false};
  std::thread busy([&] {
    while (!stop) {
      pool.deallocate(pool.allocate(50));
      pool.deallocate(pool.allocate(20'000));
    }
  });
  void* const mine = pool.allocate(77);
  for (int i = 0; i < 100; ++i) {
    const pid_t child = fork();
    if (child == 0) {
      pool.deallocate(mine);
      pool.deallocate(pool.allocate(10'000));
      _exit(pool.check().found() ? 1 : 0);
    }
    int status = -1;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_EQ(status, 0);
  }
  stop = true;
  busy.join();
  pool.deallocate(mine);
}

TEST_F(MempoolResource, SaysWhenNothingBelowLocksMemory) {
  degradation why[2];
  ASSERT_EQ(pool.degraded(why), 1U);
  EXPECT_STREQ(why[0].reason, "the layer below does not lock memory: pages may go to swap; put locked{} there");
  stack memory{pages{}, locked{.strict = false}, mempool{.segment_bytes = 64 * 8192}};
  EXPECT_EQ(memory.top().degraded(why), 0U) << "the lock speaks for itself";
  memory.deallocate(memory.allocate(100), 100);
}

// The hook is registered once in a process, so this needs one that has none yet.
[[noreturn]] void look_at_locks_unknown_to_fork() {
  test::recording_resource upstream;
  test::os_script script;
  script.fail_always(test::os_call::pthread_atfork, ENOMEM);
  const mempool_resource pool(&upstream);
  std::array<degradation, 2> states{};
  const bool told = pool.degraded(states) == 2 && std::string(states[1].reason).ends_with("may hang; do not fork") &&
                    states[1].cause.code == ENOMEM;
  std::_Exit(told ? 0 : 1);
}

TEST(MempoolResourceDeathTest, ALockUnknownToForkIsADegradedState) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(look_at_locks_unknown_to_fork(), testing::ExitedWithCode(0), "");
}

// D1-14: what a block was said to hold included the word in front of it, so that who used it all wrote over the next.
TEST_F(MempoolResource, GivesAllTheBytesItSaysABlockHolds) {
  std::vector<std::pair<unsigned char*, std::size_t>> blocks;
  for (std::size_t bytes = 1; bytes < 600; ++bytes) {
    auto* const p = static_cast<unsigned char*>(pool.allocate(bytes));
    blocks.emplace_back(p, pool.usable_size(p));
    std::memset(p, static_cast<int>(bytes % 251), blocks.back().second);
  }
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    const auto [p, holds] = blocks[i];
    ASSERT_GE(holds, i + 1);
    for (std::size_t b = 0; b < holds; ++b) ASSERT_EQ(p[b], (i + 1) % 251);
  }
  EXPECT_FALSE(pool.check().found());
  for (const auto& [p, holds] : blocks) pool.deallocate(p);
}

// D1-20: what became of the segment's mapping and locking was not asked.
TEST_F(MempoolResource, PassesOnThatUpstreamHasNothing) {
  test::failing_resource failing(&upstream);
  failing.from(1);
  EXPECT_THROW(mempool_resource<>{&failing}, std::bad_alloc);
}

}  // namespace
}  // namespace strata::pmr
