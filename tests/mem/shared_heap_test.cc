// SPDX-License-Identifier: Apache-2.0
// Claims: a region comes with the first block out of it; one empty region stays, further ones are handed back, and
// that one when nobody needed it for the decay; faults and blocks that are too short change nothing; many threads own their blocks alone, and everything comes back.
#include <gtest/gtest.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>

import strata.mem;

namespace strata::mem {
namespace {

constexpr std::size_t page = 8192;

struct pages {
  void* get() {
    memory.emplace_back(std::aligned_alloc(page, page));
    return memory.back().get();
  }
  struct freed {
    void operator()(void* p) const { std::free(p); }
  };
  std::vector<std::unique_ptr<void, freed>> memory;
};

TEST(SharedHeap, KeepsOneEmptyRegionAndHandsBackOthers) {
  pages some;
  shared_heap heap;
  EXPECT_EQ(heap.allocate(100), nullptr);
  void* const a = heap.allocate_in(some.get(), page, 5000);
  void* const b = heap.allocate_in(some.get(), page, 5000);
  EXPECT_EQ(heap.deallocate(a, 5000).surplus, nullptr);
  const region* const gone = heap.deallocate(b, 0).surplus;
  EXPECT_EQ(static_cast<const void*>(gone), some.memory[1].get());
  EXPECT_EQ(heap.count().heap.regions, page);
  EXPECT_EQ(heap.count().allocations, 2U);
  EXPECT_NE(heap.take_empty(), nullptr);
  EXPECT_EQ(heap.take_empty(), nullptr);
  EXPECT_EQ(heap.count().heap.regions, 0U);
}

TEST(SharedHeap, HandsTheEmptyRegionBackThatNobodyNeeded) {
  constexpr decay_period period(100);
  constexpr std::uint64_t ms = 1'000'000;
  pages some;
  shared_heap heap;
  EXPECT_EQ(heap.take_unused(period, 0), nullptr) << "there is none";
  void* p = heap.allocate_in(some.get(), page, 100);
  EXPECT_FALSE(heap.deallocate(heap.allocate(100), 0).emptied);
  EXPECT_TRUE(heap.deallocate(p, 0).emptied);
  EXPECT_EQ(heap.take_unused(period, 10 * ms), nullptr);
  EXPECT_EQ(heap.take_unused(period, 109 * ms), nullptr);
  p = heap.allocate(100);
  EXPECT_TRUE(heap.deallocate(p, 0).emptied);
  EXPECT_EQ(heap.take_unused(period, 110 * ms), nullptr) << "it was needed since the last look";
  EXPECT_EQ(heap.take_unused(period, 209 * ms), nullptr);
  EXPECT_NE(heap.take_unused(period, 210 * ms), nullptr);
  EXPECT_EQ(heap.count().heap.regions, 0U);
  EXPECT_EQ(heap.take_unused(decay_period(0), 211 * ms), nullptr);
}

TEST(SharedHeap, ChangesNothingWhenSomethingIsWrong) {
  pages some;
  shared_heap heap;
  void* const p = heap.allocate_in(some.get(), page, 100);
  EXPECT_EQ(heap.usable_size(p), 104U);
  EXPECT_EQ(heap.usable_size(at<char>(p, 16)), 0U);
  EXPECT_EQ(heap.deallocate(at<char>(p, 16), 0).fault, heap_fault::not_a_block);
  EXPECT_TRUE(heap.deallocate(p, 1000).too_short);
  EXPECT_EQ(heap.count().heap.used_blocks, 1U);
  EXPECT_TRUE(heap.resize(p, 1000));
  EXPECT_FALSE(heap.deallocate(p, 1000).too_short);
  EXPECT_EQ(heap.deallocate(p, 0).fault, heap_fault::already_free);
  EXPECT_EQ(heap.check().fault, heap_fault::none);
}

TEST(SharedHeap, ServesManyThreads) {
  pages some;
  shared_heap heap;
  for (int i = 0; i < 8; ++i) (void)heap.deallocate(heap.allocate_in(some.get(), page, 10), 10);
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 5'000; ++i) {
        const auto bytes = static_cast<std::size_t>(1 + i % 200);
        auto* const p = static_cast<unsigned char*>(heap.allocate(bytes));
        if (p == nullptr) continue;
        std::memset(p, t, bytes);
        wrong += p[bytes / 2] != t;
        wrong += heap.deallocate(p, bytes).fault != heap_fault::none;
      }
    });
  }
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(heap.count().heap.used_blocks, 0U);
  EXPECT_EQ(heap.count().heap.free_blocks, 1U) << "joined";
}

}  // namespace
}  // namespace strata::mem
