// SPDX-License-Identifier: Apache-2.0
// Claims: after 64 MiB (16 for most) were allocated and written in several patterns, all of it was given back, by the
// thread that had it or by another, and trim() was called, what is resident is within 1 MiB or 2 % of what it was before:
// for every keeper and for assemblies of them, in one thread, in eight that have ended, and in eight that live on, at
// rest, with what their caches hold. Pools that hold what they have from the start take nothing more. What a cache of items
// says it keeps of every item there was, books that others may be reading, is allowed for. Ten thousand threads that came,
// worked and ended leave no more than 1 MiB.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <barrier>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory_resource>
#include <random>
#include <span>
#include <string>
#include <thread>
#include <vector>

import strata.pmr;

namespace strata::pmr {
namespace {

constexpr std::size_t kib = 1024;
constexpr std::size_t mib = kib * kib;
constexpr unsigned crew = 8;
constexpr std::size_t load = 64 * mib;

/// Bytes resident just now, as the page tables have it: counters of the kernel lag behind. Allocates nothing.
std::size_t resident() {
  static std::array<char, 4096> text;
  const int file = ::open("/proc/self/smaps_rollup", O_RDONLY | O_CLOEXEC);
  if (file < 0) return 0;
  const auto size = ::read(file, text.data(), text.size() - 1);
  ::close(file);
  if (size <= 0) return 0;
  text[static_cast<std::size_t>(size)] = '\0';
  const char* const line = std::strstr(text.data(), "\nRss:");
  return line == nullptr ? 0 : std::strtoull(line + 5, nullptr, 10) * kib;
}

enum class pattern { one_size, small, mixed, large };
constexpr std::array patterns{pattern::one_size, pattern::small, pattern::mixed, pattern::large};

std::size_t size_in(pattern which, std::mt19937& random) {
  switch (which) {
    case pattern::one_size:
      return 80;
    case pattern::small:
      return 16 + random() % 1009;
    case pattern::mixed:
      return std::size_t{16} << (random() % 13);
    case pattern::large:
      return 64 * kib + random() % (960 * kib);
  }
  return 0;
}

struct block {
  void* at;
  std::size_t bytes;
};

/// Where the crew writes down its blocks, resident from the start.
std::span<block> list_of(unsigned thread) {  // what is for the first is for all others, too, when it is alone
  constexpr std::size_t most = load / 64;
  static std::vector<block> all(most, block{nullptr, 0});
  return std::span(all).subspan(thread * (most / crew), thread == 0 ? most : most / crew);
}

template <class Memory>
std::size_t fill(Memory& memory, pattern which, std::size_t bytes, std::size_t item, std::span<block> into) {
  std::mt19937 random(7);
  std::size_t count = 0;
  for (std::size_t left = bytes; count < into.size();) {
    const std::size_t size = item != 0 ? item : size_in(which, random);
    if (size > left) break;
    left -= size;
    void* const p = memory.allocate(size, 8);
    for (std::size_t at = 0; at < size; at += 4096) static_cast<std::byte*>(p)[at] = std::byte{0x5A};
    into[count++] = {p, size};
  }
  // Most programs do not give back in order.
  std::shuffle(into.begin(), into.begin() + static_cast<std::ptrdiff_t>(count), random);
  return count;
}

template <class Memory>
void empty(Memory& memory, std::span<const block> blocks) {
  for (const block& b : blocks) memory.deallocate(b.at, b.bytes, 8);
}

enum class manner { alone, ended, idle };

struct job {
  std::size_t bytes = load / 4;
  std::size_t item = 0;   ///< bytes of every block; 0: as the pattern has it
  std::size_t stays = 0;  ///< bytes for each item there was that are known to stay
};

/// All patterns in a row. `trim` is called by the main thread, once in each.
template <class Memory>
void use(Memory& memory, manner how, const job& what, const std::function<void()>& trim) {
  for (const pattern which : patterns) {
    if (what.item != 0 && which != pattern::one_size) break;
    if (how == manner::alone) {
      const std::size_t count = fill(memory, which, what.bytes, what.item, list_of(0));
      empty(memory, list_of(0).first(count));
      trim();
      continue;
    }
    std::barrier all(crew + 1);
    std::array<std::size_t, crew> counts{};
    std::vector<std::thread> threads;
    for (unsigned t = 0; t < crew; ++t) {
      threads.emplace_back([&, t] {
        counts[t] = fill(memory, which, what.bytes / crew, what.item, list_of(t));
        all.arrive_and_wait();
        // Half of the threads have their own blocks back, half another's.
        const unsigned whose = t < crew / 2 ? t : crew / 2 + (t + 1) % (crew / 2);
        empty(memory, list_of(whose).first(counts[whose]));
        all.arrive_and_wait();
        if (how == manner::idle) all.arrive_and_wait();
      });
    }
    all.arrive_and_wait();
    all.arrive_and_wait();
    if (how == manner::ended) {
      for (std::thread& t : threads) t.join();
    }
    trim();
    if (how == manner::idle) {
      all.arrive_and_wait();
      for (std::thread& t : threads) t.join();
    }
  }
}

/// Resident bytes that `use` leaves, beyond what there was before.
template <class Memory, class Trim>
void expect_all_back(Memory& memory, manner how, const job& what, const Trim& trim) {
  (void)list_of(0);
  // What the first threads of a process bring with them, and the first use of the layer, is not the layer's to keep.
  use(memory, how, {.bytes = what.bytes / 64, .item = what.item}, trim);
  const std::size_t before = resident();
  ASSERT_NE(before, 0U);
  std::size_t most = 0;
  use(memory, how, what, [&] {
    trim();
    most = std::max(most, resident());
  });
  std::printf("%zu KiB before, %zu KiB after, %td KiB more\n", before / kib, most / kib,
              (static_cast<std::ptrdiff_t>(most) - static_cast<std::ptrdiff_t>(before)) / 1024);
  const std::size_t known = what.item == 0 ? 0 : what.bytes / what.item * what.stays;
  EXPECT_LE(most, before + std::max(mib, before / 50) + known);
}

class GivingBack : public testing::TestWithParam<manner> {};

TEST_P(GivingBack, Slabs) {
  stack memory{pages{}, slabs{}};
  expect_all_back(memory, GetParam(), {.bytes = load}, [&] { memory.top().trim(); });
}

TEST_P(GivingBack, SharedHeap) {
  stack memory{pages{}, shared_heap{}};
  expect_all_back(memory, GetParam(), {}, [&] { memory.top().trim(); });
}

TEST_P(GivingBack, HeapBehindALock) {
  stack memory{pages{}, heap{}, synchronized{}};
  expect_all_back(memory, GetParam(), {.bytes = 16 * mib},
                  [&] { memory.top().with_upstream([](auto& below) { below.trim(); }); });
}

TEST_P(GivingBack, SlabsOverHeapOverPages) {
  stack memory{pages{}, shared_heap{}, slabs{}};
  expect_all_back(memory, GetParam(), {}, [&] {
    memory.top().trim();
    memory.template get<1>().trim();
  });
}

TEST_P(GivingBack, Fragments) {
  // The first region stays, so it is there from the start.
  stack memory{pages{}, fragments{.max_regions = 64, .prefault = true}};
  expect_all_back(memory, GetParam(), {.item = 1024}, [&] { memory.top().trim(); });
}

TEST_P(GivingBack, Cache) {
  stack memory{pages{}, cache{.item_bytes = 96}};
  expect_all_back(memory, GetParam(), {.item = 96, .stays = 8}, [&] { memory.top().trim(); });
}

TEST_P(GivingBack, CacheOverHeap) {
  stack memory{pages{}, shared_heap{}, cache{.item_bytes = 700}};
  expect_all_back(memory, GetParam(), {.item = 700}, [&] {
    memory.top().trim();
    memory.template get<1>().trim();
  });
}

TEST_P(GivingBack, Mempool) {
  stack memory{pages{}, locked{.strict = false}, mempool{.segment_bytes = 48 * mib}};
  const auto touch = [&] { memory.top().trim(); };
  // All of the segment is resident from here on.
  const std::size_t all = memory.top().segment().largest_free();
  void* const p = memory.allocate(all, 8);
  std::memset(p, 1, all);
  memory.deallocate(p, all, 8);
  expect_all_back(memory, GetParam(), {}, touch);
}

TEST_P(GivingBack, Shadow) {
  stack memory{pages{}, shared_heap{}, shadow{}};
  expect_all_back(memory, GetParam(), {.bytes = 8 * mib, .item = 200}, [&] {
    memory.top().trim();
    memory.template get<1>().trim();
  });
}

// Blocks so small that what is known of each is more than may stay, and a quarantine that forgets.
TEST_P(GivingBack, ShadowWithAShortMemory) {
  stack memory{pages{}, shared_heap{}, shadow{.guards = shadow_guards::batched, .hold_bytes = 8 * mib}};
  expect_all_back(memory, GetParam(), {.bytes = 8 * mib, .item = 80}, [&] {
    memory.top().trim();
    memory.template get<1>().trim();
  });
}

std::string name_of(const testing::TestParamInfo<manner>& how) {
  switch (how.param) {
    case manner::alone:
      return "Alone";
    case manner::ended:
      return "ByThreadsThatEnded";
    case manner::idle:
      return "ByThreadsThatLiveOn";
  }
  return "";
}

INSTANTIATE_TEST_SUITE_P(All, GivingBack, testing::Values(manner::alone, manner::ended, manner::idle), name_of);

template <class Memory, class Trim>
void expect_all_back_from_one(Memory& memory, const job& what, const Trim& trim) {
  expect_all_back(memory, manner::alone, what, trim);
}

TEST(GivingBackFromOneThread, UnsynchronizedSlabs) {
  stack memory{pages{}, unsynchronized_slabs{}};
  expect_all_back_from_one(memory, {.bytes = load}, [&] { memory.top().trim(); });
}

TEST(GivingBackFromOneThread, Heap) {
  stack memory{pages{}, heap{}};
  expect_all_back_from_one(memory, {}, [&] { memory.top().trim(); });
}

TEST(GivingBackFromOneThread, UnsynchronizedCache) {
  stack memory{pages{}, unsynchronized_cache{.item_bytes = 96}};
  expect_all_back_from_one(memory, {.item = 96, .stays = 8}, [&] { memory.top().trim(); });
}

TEST(ThreadLives, TenThousandLeaveNoGrowth) {
  stack with_slabs{pages{}, slabs{}};
  stack with_heap{pages{}, shared_heap{}};
  stack with_fragments{pages{}, fragments{}};
  stack with_items{pages{}, cache{.item_bytes = 64}};
  stack with_pool{pages{}, mempool{}};
  const auto live = [&] {
    std::thread([&] {
      const auto use = [](auto& memory) {
        std::array<void*, 20> blocks{};
        for (void*& p : blocks) p = memory.allocate(64, 8);
        for (void* const p : blocks) memory.deallocate(p, 64, 8);
      };
      use(with_slabs);
      use(with_heap);
      use(with_fragments);
      use(with_items);
      use(with_pool);
    }).join();
  };
  for (int n = 0; n < 100; ++n) live();
  const std::size_t before = resident();
  for (int n = 0; n < 10'000; ++n) live();
  const std::size_t after = resident();
  std::printf("%zu KiB before, %zu KiB after\n", before / kib, after / kib);
  EXPECT_LE(after, before + mib);
}

}  // namespace
}  // namespace strata::pmr
