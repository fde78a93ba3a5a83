// SPDX-License-Identifier: Apache-2.0
// Claims (W1-07, W1-08): once made, a pool needs nothing from outside. With malloc refused, RLIMIT_AS at 0 and every
// system call but waiting forbidden, threads that never met it before get all sizes and alignments of it, reallocate,
// make and use named caches and arrays, fill containers, run it dry, catch std::bad_alloc, trim, and find it whole
// afterwards. It is resident: what it says is locked is what the kernel says is locked, else it says that it is
// degraded, and why; using it causes no page fault, neither major nor minor. And the same harness catches a memory that
// has to grow, and one that is not resident.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <barrier>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <memory_resource>
#include <new>
#include <string>
#include <string_view>

#include "tests/support/cut_off.h"
#include "tests/support/sanitizer.h"
#include "tests/support/workout.h"

import strata.pmr;

namespace strata::pmr {
namespace {

using test::cut_off;
using test::cut_off_outcome;
using test::demand;
using test::in_cut_off_child;

// The pool, of so many bytes, and what it stands on. Made in place: `auto pool = …`.
auto pool_of(std::size_t bytes) { return stack{pages{}, locked{.strict = false}, mempool{.segment_bytes = bytes}}; }
using pool_type = decltype(pool_of(0));

// One of the same shape that has nothing until asked.
auto growing_pool() { return stack{pages{}, heap{.min_arena = std::size_t{64} << 10}, synchronized{}}; }

template <class Pool>
concept malloc_shaped = requires(Pool& pool, void* p) {
  p = pool.reallocate(p, std::size_t{1});
  pool.deallocate(p);
};

template <class Memory>
concept has_caches = requires(Memory& memory) { mempool_cache(&memory, {.name = "items"}); };

static_assert(malloc_shaped<pool_type::top_type> && has_caches<pool_type::top_type>, "all of it is asked for");

// A cache of items, made, used up to the last and gone: in the pool, where it can have caches.
template <class Memory>
void use_caches(Memory& memory) {
  const auto use = [](auto cache) {
    test::use_cache(cache, 150);
    cache.trim();
  };
  constexpr std::size_t bytes = 72;
  if constexpr (has_caches<Memory>) {
    use(mempool_cache(&memory, {.name = "items", .item_bytes = bytes}));
  } else {
    use(named_cache(&memory, {.name = "items", .item_bytes = bytes, .chunk_bytes = 8192}));
  }
}

constexpr unsigned crew = 4;

// The layers are as they are; only who inspects them is not autonomous.
constexpr const char* kBooked = "what an inspected pool knows of its blocks lies in memory from the OS";

// All of it, by each of a crew at a time.
struct workout {
  std::size_t segment = std::size_t{16} << 20;  // bytes of the pool
  unsigned threads = crew;
  std::barrier<> together{static_cast<std::ptrdiff_t>(crew)};

  template <class Memory>
  void operator()(Memory& memory, unsigned thread, cut_off& here) {
    const std::size_t largest = segment / 64;
    test::ask_every_size_and_alignment(memory, largest, 8192);
    test::come_and_go(memory, thread, largest / 8, 3000);
    if constexpr (malloc_shaped<Memory>) test::come_and_go_without_sizes(memory, thread, largest / 8, 3000);
    test::fill_containers(memory, 500);
    use_caches(memory);
    together.arrive_and_wait();
    (void)test::take_everything(memory, largest, here);
    together.arrive_and_wait();
    if constexpr (requires { memory.trim(); }) memory.trim();
    // What was in small pieces is in one again.
    if (thread == 0) memory.deallocate(memory.allocate(segment / 2), segment / 2);
    together.arrive_and_wait();
    test::come_and_go(memory, thread, largest / 8, 1000);
  }
};

void expect_no_need_of_anything(const cut_off_outcome& seen) {
  EXPECT_EQ(seen.said, "");
  EXPECT_EQ(seen.status, 0);
  // An exception is memory, too: the one request that is not the pool's.
  EXPECT_EQ(seen.heap_requests, seen.exceptions);
}

// --- W1-07 -----------------------------------------------------------------------------------------------------------

template <class Make>
void expect_to_serve_a_crew(const Make& make) {
  const cut_off_outcome seen = in_cut_off_child([&](cut_off& here) {
    workout work;
    auto memory = make(work.segment);
    const statistics fresh = memory.top().stats();
    here.run(
        crew, [&](unsigned thread) { work(memory.top(), thread, here); },
        [&] {
          demand(!memory.check().found(), "the pool is whole");
          demand(memory.top().stats().live == fresh.live, "everything is back");
        });
  });
  expect_no_need_of_anything(seen);
  EXPECT_GT(seen.exceptions, crew);  // it did run dry
}

TEST(Autonomy, ServesThreadsThatAreCutOff) {
  if (test::under_asan) GTEST_SKIP() << kBooked;
  expect_to_serve_a_crew([](std::size_t bytes) { return pool_of(bytes); });
}

TEST(Autonomy, IsThatOfFragmentsToo) {
  if (test::under_asan) GTEST_SKIP() << kBooked;
  expect_to_serve_a_crew([](std::size_t bytes) { return stack{pages{}, fragments{.region_bytes = bytes}}; });
}

TEST(Autonomy, KnowsItsBlocksWhenCutOff) {
  if (test::under_asan) GTEST_SKIP() << kBooked;
  const cut_off_outcome seen = in_cut_off_child([](cut_off& here) {
    auto memory = pool_of(std::size_t{1} << 20);
    here.run(1, [&](unsigned) {
      auto& pool = memory.top();
      mempool_cache orders(&pool, {.name = "orders"});
      auto* const p = static_cast<std::byte*>(pool.allocate(3000));
      demand(pool.owner(p + 2999).start == p, "the owner of an interior address");
      demand(pool.usable_size(p) >= 3000, "how much of it may be used");
      void* const item = orders.request();
      demand(pool.owner(item).name == std::string_view("orders"), "the cache of an item");
      pool.deallocate(item);
      pool.deallocate(p);
      demand(pool.owner(p).start == nullptr, "nobody's");
    });
  });
  expect_no_need_of_anything(seen);
}

TEST(Autonomy, KeepsItsReserveWhenCutOff) {
  if (test::under_asan) GTEST_SKIP() << kBooked;
  const cut_off_outcome seen = in_cut_off_child([](cut_off& here) {
    constexpr std::size_t reserve = std::size_t{64} << 10;
    stack memory{pages{}, mempool{.segment_bytes = std::size_t{1} << 20, .reserve_bytes = reserve}};
    here.run(1, [&](unsigned) {
      // Small pieces, each the first bytes of the next: what is left is the reserve.
      void* held = nullptr;
      try {
        for (;;) held = ::new (memory.allocate(1024)) void*(held);
      } catch (const std::bad_alloc&) {
        here.caught();
      }
      std::pmr::memory_resource& critical = memory.top().critical();
      for (std::size_t taken = 0; taken + 1024 < reserve; taken += 1024)
        held = ::new (critical.allocate(1024)) void*(held);
      while (held != nullptr) {
        void* const block = held;
        held = *static_cast<void**>(block);
        memory.top().deallocate(block);
      }
    });
  });
  expect_no_need_of_anything(seen);
  EXPECT_EQ(seen.exceptions, 1U);
}

TEST(Autonomy, SaysHowItIsDoingWhenCutOff) {
  if (test::under_asan) GTEST_SKIP() << kBooked;
  const cut_off_outcome seen = in_cut_off_child([](cut_off& here) {
    auto memory = pool_of(std::size_t{1} << 20);
    here.run(1, [&](unsigned) {
      void* const p = memory.allocate(1000);
      report all;
      memory.collect(all);
      demand(all.rows().size() == 4, "a row for each layer, and for the pool's segment");
      demand(all.rows().back().figures.live_blocks == 1, "one block is out");
      std::array<degradation, 4> states{};
      (void)memory.get<1>().degraded(states);
      memory.deallocate(p, 1000);
    });
  });
  expect_no_need_of_anything(seen);
}

TEST(AutonomyHarness, CatchesAPoolThatGrows) {
  const cut_off_outcome seen = in_cut_off_child([](cut_off& here) {
    workout work;
    auto memory = growing_pool();
    here.run(crew, [&](unsigned thread) { work(memory.top(), thread, here); });
  });
  EXPECT_TRUE(seen.said.starts_with("system call ")) << seen.said;
  EXPECT_NE(seen.said.find("(mmap)"), std::string::npos) << seen.said;
}

TEST(AutonomyHarness, CatchesMemoryThatIsTheHeap) {
  const cut_off_outcome seen = in_cut_off_child([](cut_off& here) {
    workout work;
    here.run(crew, [&](unsigned thread) { work(*std::pmr::new_delete_resource(), thread, here); });
  });
  EXPECT_NE(seen.said, "");
  EXPECT_GT(seen.heap_requests, seen.exceptions);
}

// --- W1-08 -----------------------------------------------------------------------------------------------------------

std::size_t locked_as_the_kernel_says() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    std::size_t kibibytes = 0;
    if (std::sscanf(line.c_str(), "VmLck: %zu kB", &kibibytes) == 1) return kibibytes << 10;
  }
  return 0;
}

// What the lock in a report is degraded by.
std::string reason_in_report(const pool_type& memory) {
  report all;
  memory.collect(all);
  for (const report::row& r : all.rows()) {
    if (std::string(r.name) == "locked" && r.degradations != 0) return r.degraded[0].reason;
  }
  return "";
}

constexpr std::size_t resident_bytes = std::size_t{3} << 20;  // two of them may be locked by anybody

TEST(Residency, IsLockedAsReported) {
  if (test::under_asan || test::under_tsan) GTEST_SKIP() << "sanitizers ignore locks";
  const std::size_t before = locked_as_the_kernel_says();
  auto memory = pool_of(resident_bytes);
  const std::size_t whole = memory.get<0>().stats().upstream;
  EXPECT_GE(whole, resident_bytes);
  const bool permitted = memory.get<1>().unlocked_bytes() == 0;
  EXPECT_EQ(memory.get<1>().locked_by_process(), permitted ? whole : 0);
  EXPECT_EQ(locked_as_the_kernel_says() - before, permitted ? whole : 0);
  EXPECT_EQ(reason_in_report(memory) == "", permitted);
}

TEST(Residency, SaysThatItIsDegradedWhereLockingIsNotPermitted) {
  if (test::under_asan || test::under_tsan) GTEST_SKIP() << "sanitizers ignore locks";
  const cut_off_outcome seen = in_cut_off_child([](cut_off& here) {
    const rlimit none{0, 0};
    demand(::setrlimit(RLIMIT_MEMLOCK, &none) == 0, "RLIMIT_MEMLOCK cannot be lowered");
    (void)::seteuid(
        65534);  // root may lock what it likes; in a namespace of its own it may be neither that nor somebody else
    auto memory = pool_of(resident_bytes);
    demand(memory.get<1>().unlocked_bytes() != 0, "no limit holds for this user");
    demand(locked_as_the_kernel_says() == 0, "nothing is locked");
    demand(memory.get<1>().unlocked_bytes() == memory.get<1>().stats().live, "all of it is said to be unlocked");
    std::array<degradation, 4> states{};
    demand(memory.get<1>().degraded(states) == 1, "it is degraded by one thing");
    demand(states[0].cause.code == EPERM, "which has a cause");
    demand(reason_in_report(memory).find("unlocked") != std::string::npos, "and the report says which");
    here.run(1, [&](unsigned) { memory.deallocate(memory.allocate(100), 100); });
  });
  if (seen.said.find("no limit holds") != std::string::npos) GTEST_SKIP() << seen.said;
  expect_no_need_of_anything(seen);
}

// A sanitizer's shadow is memory as well, and more of it than there is.
constexpr bool shadowed = test::under_asan || test::under_tsan;

// Faults of a crew that works with `subject`, after it did the same with `rehearsed`: so that what a thread has of its
// own is there. All else that was there before the subject was has been touched. Three times at most until there is none: other business of the kernel with pages, as
// balancing or compaction, is no fault of the pool's and does not hit it each time.
template <class Make>
cut_off_outcome faults_of(const Make& make) {
  cut_off_outcome seen;
  for (int attempt = 0; attempt < 3; ++attempt) {
    seen = in_cut_off_child([&](cut_off& here) {
      workout work{.segment = resident_bytes};
      cut_off rehearsal;
      auto rehearsed = pool_of(resident_bytes);
      if (!shadowed) cut_off::touch_all();
      auto subject = make();
      here.run(
          crew, [&](unsigned thread) { work(subject.top(), thread, here); }, [] {},
          [&](unsigned thread) { work(rehearsed.top(), thread, rehearsal); });
    });
    expect_no_need_of_anything(seen);
    if (seen.minor_faults == 0) break;
  }
  return seen;
}

TEST(Residency, CausesNoFault) {
  if (test::under_asan) GTEST_SKIP() << kBooked;
  const cut_off_outcome seen = faults_of([] { return pool_of(resident_bytes); });
  EXPECT_EQ(seen.major_faults, 0);
  // The shadow of memory used for the first time is used for the first time.
  if (!shadowed) EXPECT_EQ(seen.minor_faults, 0);
}

TEST(ResidencyHarness, CountsTheFaultsOfAPoolThatIsNotResident) {
  const cut_off_outcome seen = faults_of([] { return stack{pages{}, fragments{.region_bytes = resident_bytes}}; });
  EXPECT_GE(seen.minor_faults, static_cast<long>(resident_bytes / 4096 / 2));
}

}  // namespace
}  // namespace strata::pmr
