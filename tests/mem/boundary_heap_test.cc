// SPDX-License-Identifier: Apache-2.0
// Claims: blocks are aligned as asked, disjoint and keep their contents; freed neighbours are one block at once, so a
// heap with nothing handed out is one free block a region; resize works in place or changes nothing; counters add up at
// every step; every request is served by a region of region_bytes_for; double, interior and foreign frees and
// overwritten bookkeeping are told apart; inspect() reads
// nothing outside the regions (D2-15); regions that touch are joined where a question is answered so (S2-24), and the
// counters are right then (D2-09); the block taken is the best fit (W1-10); sizes that cannot be are refused. Model test: random operations against a
// map, check() after every step.
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <map>
#include <memory>
#include <new>
#include <random>
#include <utility>
#include <vector>

import strata.mem;

namespace strata::mem {
namespace {

struct BoundaryHeap : testing::Test {
  std::vector<std::unique_ptr<std::byte[]>> memory;
  std::unique_ptr<boundary_heap> heap = std::make_unique<boundary_heap>(boundary_heap::geometry{});

  // new[] gives 16-byte alignment.
  region* add(std::size_t bytes) {
    memory.push_back(std::make_unique<std::byte[]>(bytes));
    return heap->add(memory.back().get(), bytes);
  }
  heap_fault fault() const { return heap->check().fault; }
};

TEST_F(BoundaryHeap, AnEmptyHeapServesNothing) {
  EXPECT_EQ(heap->allocate(1, 1), nullptr);
  EXPECT_EQ(fault(), heap_fault::none);
}

TEST_F(BoundaryHeap, ServesARequestFromARegionOfExactlyTheBytesItNamed) {
  for (std::size_t alignment = 1; alignment <= 65536; alignment *= 2) {
    for (const std::size_t bytes : {std::size_t{0}, std::size_t{1}, std::size_t{24}, std::size_t{25}, std::size_t{100},
                                    std::size_t{512}, std::size_t{4096}, std::size_t{70000}}) {
      region* const r = add(heap->region_bytes_for(bytes, alignment));
      void* const p = heap->allocate(bytes, alignment);
      ASSERT_NE(p, nullptr) << bytes << " aligned " << alignment;
      EXPECT_TRUE(is_aligned(p, alignment));
      std::memset(p, 0xAB, bytes);
      EXPECT_EQ(fault(), heap_fault::none);
      EXPECT_EQ(heap->deallocate(p).emptied, r);
      EXPECT_EQ(fault(), heap_fault::none);
      heap->remove(r);
      EXPECT_EQ(heap->counters().regions, 0U);
    }
  }
}

TEST_F(BoundaryHeap, ZeroBytesAreDistinctBlocks) {
  add(4096);
  void* const a = heap->allocate(0, 1);
  void* const b = heap->allocate(0, 1);
  ASSERT_NE(a, nullptr);
  EXPECT_NE(a, b);
}

TEST_F(BoundaryHeap, RefusesWhatCannotBe) {
  add(4096);
  for (const std::size_t bytes : {std::numeric_limits<std::size_t>::max(), std::numeric_limits<std::size_t>::max() - 7,
                                  max_object, boundary_heap::max_bytes + 1}) {
    EXPECT_EQ(heap->allocate(bytes, 1), nullptr);
    EXPECT_EQ(heap->allocate(bytes, 4096), nullptr);
    EXPECT_EQ(heap->region_bytes_for(bytes, 1), 0U);
  }
  EXPECT_EQ(heap->allocate(1, std::size_t{1} << 63), nullptr);
  EXPECT_EQ(heap->region_bytes_for(1, std::size_t{1} << 63), 0U);
  EXPECT_EQ(fault(), heap_fault::none);
}

TEST_F(BoundaryHeap, JoinsFreedNeighboursInEveryOrder) {
  std::vector<int> order{0, 1, 2, 3, 4};
  do {
    region* const r = add(8192);
    std::vector<void*> blocks;
    for (int i = 0; i < 5; ++i) blocks.push_back(heap->allocate(100 + 50 * static_cast<std::size_t>(i), 1));
    for (const int i : order) {
      ASSERT_EQ(heap->deallocate(blocks[static_cast<std::size_t>(i)]).fault, heap_fault::none);
      ASSERT_EQ(fault(), heap_fault::none);
    }
    ASSERT_EQ(heap->counters().free_blocks, 1U);
    ASSERT_EQ(heap->empty_region(), r);
    heap->remove(r);
  } while (std::next_permutation(order.begin(), order.end()));
}

TEST_F(BoundaryHeap, UsesAWholeRegionAndGetsItBack) {
  constexpr std::size_t count = 1000;
  constexpr std::size_t bytes = boundary_heap::region_overhead + count * 48;
  region* const r = add(bytes);
  std::vector<void*> blocks;
  while (void* const p = heap->allocate(40, 8)) blocks.push_back(p);
  EXPECT_EQ(heap->counters().free_blocks, 0U);
  ASSERT_EQ(blocks.size(), count);
  for (std::size_t i = 0; i < blocks.size(); i += 2) EXPECT_EQ(heap->deallocate(blocks[i]).emptied, nullptr);
  EXPECT_EQ(fault(), heap_fault::none);
  for (std::size_t i = 1; i + 1 < count; i += 2) EXPECT_EQ(heap->deallocate(blocks[i]).emptied, nullptr);
  EXPECT_EQ(heap->counters().empty, 0U);
  EXPECT_EQ(heap->deallocate(blocks[count - 1]).emptied, r);
  EXPECT_EQ(heap->counters().empty, bytes);
  EXPECT_NE(heap->allocate(bytes - boundary_heap::region_overhead - block::overhead, 1), nullptr);
  EXPECT_EQ(heap->counters().empty, 0U);
}

TEST_F(BoundaryHeap, GrowsAndShrinksInPlace) {
  add(1 << 16);
  auto* const p = static_cast<std::byte*>(heap->allocate(100, 1));
  std::memset(p, 1, 100);
  void* const fence = heap->allocate(16, 1);
  EXPECT_FALSE(heap->resize(p, 1000)) << "the block above is used";
  EXPECT_EQ(boundary_heap::usable_size(p), 104U);
  EXPECT_EQ(heap->deallocate(fence).fault, heap_fault::none);
  EXPECT_TRUE(heap->resize(p, 1000));
  EXPECT_GE(boundary_heap::usable_size(p), 1000U);
  EXPECT_TRUE(std::all_of(p, p + 100, [](std::byte b) { return b == std::byte{1}; }));
  std::memset(p, 2, boundary_heap::usable_size(p));
  EXPECT_EQ(fault(), heap_fault::none);
  EXPECT_TRUE(heap->resize(p, 10));
  EXPECT_EQ(boundary_heap::usable_size(p), 24U);
  EXPECT_EQ(heap->counters().free_blocks, 1U) << "what was given back joins the free block above";
  EXPECT_EQ(fault(), heap_fault::none);
  EXPECT_FALSE(heap->resize(p, 1 << 16));
  EXPECT_FALSE(heap->resize(p, std::numeric_limits<std::size_t>::max()));
}

TEST_F(BoundaryHeap, ObeysQuantumAndSmallestBlock) {
  heap = std::make_unique<boundary_heap>(boundary_heap::geometry{.quantum = 64, .min_block = 200});
  add(1 << 16);
  void* const small = heap->allocate(1, 1);
  void* const large = heap->allocate(300, 1);
  EXPECT_EQ(boundary_heap::usable_size(small), 256U - block::overhead);
  EXPECT_EQ(boundary_heap::usable_size(large), 320U - block::overhead);
}

TEST_F(BoundaryHeap, SaysThatABlockIsFreeAlready) {
  add(1 << 16);
  void* const a = heap->allocate(64, 1);
  void* const b = heap->allocate(64, 1);
  void* const c = heap->allocate(64, 1);
  void* const d = heap->allocate(64, 1);
  EXPECT_EQ(heap->deallocate(a).fault, heap_fault::none);
  EXPECT_EQ(heap->deallocate(a).fault, heap_fault::already_free);
  EXPECT_EQ(heap->deallocate(b).fault, heap_fault::none);
  EXPECT_EQ(heap->deallocate(b).fault, heap_fault::already_free) << "joined with the block below";
  EXPECT_EQ(heap->deallocate(d).fault, heap_fault::none);
  EXPECT_EQ(heap->deallocate(c).fault, heap_fault::none);
  EXPECT_EQ(heap->deallocate(d).fault, heap_fault::already_free) << "joined with the block below it later";
  EXPECT_EQ(fault(), heap_fault::none);
}

TEST_F(BoundaryHeap, RefusesPointersItNeverHandedOut) {
  add(1 << 16);
  auto* const p = static_cast<std::byte*>(heap->allocate(256, 1));
  std::memset(p, 0, 256);
  alignas(16) std::byte elsewhere[64]{};
  EXPECT_EQ(heap->deallocate(nullptr).fault, heap_fault::not_a_block);
  EXPECT_EQ(heap->deallocate(elsewhere + 16).fault, heap_fault::not_a_block);
  EXPECT_EQ(heap->deallocate(p + 1).fault, heap_fault::not_a_block);
  EXPECT_EQ(heap->deallocate(p + 64).fault, heap_fault::not_a_block);
  boundary_heap other{boundary_heap::geometry{}};
  EXPECT_EQ(other.deallocate(p).fault, heap_fault::not_a_block) << "another heap's block";
  EXPECT_EQ(heap->deallocate(p).fault, heap_fault::none);
}

TEST_F(BoundaryHeap, DoesNotTakeOldWordsForBlocksAfterClear) {
  region* const r = add(1 << 12);
  std::vector<void*> old;
  while (void* const p = heap->allocate(40, 1)) old.push_back(p);
  EXPECT_EQ(heap->clear(), r);
  EXPECT_EQ(r->next, nullptr);
  heap->add(r, 1 << 12);
  EXPECT_EQ(fault(), heap_fault::none);
  // An old seal is one of 65,536 and may by chance be the new one.
  const auto taken =
      std::count_if(old.begin() + 1, old.end(), [&](void* p) { return heap->inspect(p) != heap_fault::not_a_block; });
  EXPECT_LE(taken, 2) << "of " << old.size();
}

TEST_F(BoundaryHeap, CheckFindsWhatWasOverwritten) {
  add(1 << 12);
  auto* const a = static_cast<std::byte*>(heap->allocate(100, 1));
  auto* const b = static_cast<std::byte*>(heap->allocate(100, 1));
  auto* const c = static_cast<std::byte*>(heap->allocate(100, 1));
  ASSERT_EQ(fault(), heap_fault::none);

  const auto damaged = [&](std::byte* where, heap_fault expected) {
    const std::byte before = *where;
    *where ^= std::byte{0x10};
    EXPECT_EQ(heap->check().fault, expected);
    *where = before;
    EXPECT_EQ(heap->check().fault, heap_fault::none);
  };
  damaged(a + 104, heap_fault::not_a_block);  // one byte past the end: the word of b
  damaged(a - 8, heap_fault::not_a_block);
  ASSERT_EQ(heap->deallocate(b).fault, heap_fault::none);
  damaged(c - 16, heap_fault::bad_end);  // the end of free b
  damaged(b, heap_fault::bad_list);      // its links
  damaged(b + 8, heap_fault::bad_list);
  EXPECT_NE(*describe(heap_fault::bad_list), '\0');
}

// Pages, every second of them a region, the others not to be touched.
struct Islands : testing::Test {
  static constexpr std::size_t page = 65536;
  static constexpr std::size_t count = 9;
  std::byte* const sea =
      static_cast<std::byte*>(mmap(nullptr, count* page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  boundary_heap heap{boundary_heap::geometry{}};

  Islands() {
    for (std::size_t i = 1; i < count; i += 2) {
      EXPECT_EQ(mprotect(sea + i * page, page, PROT_READ | PROT_WRITE), 0);
      heap.add(sea + i * page, page);
    }
  }
  ~Islands() override { munmap(sea, count * page); }
};

TEST_F(Islands, InspectReadsNothingOutsideTheRegions) {  // D2-15
  void* const block = heap.allocate(100, 16);
  std::size_t blocks = 0;
  for (std::size_t at = 0; at < count * page; at += 4) {
    const std::byte* const p = sea + at;
    const heap_fault fault = heap.inspect(p);
    blocks += fault == heap_fault::none ? 1 : 0;
    ASSERT_EQ(fault == heap_fault::none, p == block);
    const region* const r = heap.find_region(p);
    ASSERT_EQ(r, at / page % 2 == 0 ? nullptr : static_cast<const void*>(sea + at / page * page));
  }
  EXPECT_EQ(blocks, 1U);
  int on_the_stack = 0;
  for (const void* p :
       {static_cast<const void*>(nullptr), static_cast<const void*>(&on_the_stack), static_cast<const void*>(&heap),
        static_cast<const void*>(sea - 8), static_cast<const void*>(sea + count * page),
        std::bit_cast<const void*>(std::uintptr_t{16}), std::bit_cast<const void*>(~std::uintptr_t{15})}) {
    EXPECT_EQ(heap.inspect(p), heap_fault::not_a_block);
    EXPECT_EQ(heap.find_region(p), nullptr);
  }
}

TEST_F(Islands, DeallocateReadsNothingBelowOrAboveAllRegions) {
  void* const block = heap.allocate(100, 16);
  EXPECT_EQ(heap.deallocate(sea + 16).fault, heap_fault::not_a_block);
  EXPECT_EQ(heap.deallocate(sea + 8 * page).fault, heap_fault::not_a_block);
  EXPECT_EQ(heap.deallocate(sea + 8 * page + 4096).fault, heap_fault::not_a_block);
  EXPECT_EQ(heap.deallocate(sea + 2 * page + 17).fault, heap_fault::not_a_block) << "no payload is there";
  EXPECT_EQ(heap.deallocate(block).fault, heap_fault::none);
  heap.remove(heap.empty_region());
  EXPECT_EQ(heap.check().fault, heap_fault::none);
}

TEST_F(Islands, WalkShowsRegionsAndBlocksInAddressOrder) {
  void* const p = heap.allocate(100, 16);
  std::vector<const void*> seen;
  std::size_t regions = 0;
  heap.walk(
      [&](const region& r) {
        ++regions;
        EXPECT_EQ(r.bytes, page);
        seen.push_back(&r);
      },
      [&](const heap_block& b) {
        EXPECT_EQ(b.asked, b.payload == p ? 100U : 0U);
        EXPECT_EQ(b.used, b.payload == p);
        seen.push_back(b.start);
      });
  EXPECT_EQ(regions, count / 2);
  EXPECT_TRUE(std::is_sorted(seen.begin(), seen.end()));
}

// Four pieces of one memory come in every order.
struct AdjacentRegions : BoundaryHeap {
  static constexpr std::size_t piece = 4096;
  alignas(16) std::byte all[4 * piece];
  std::vector<std::pair<const region*, const region*>> asked;
  bool agree = true;

  region* bring(std::size_t i) {
    return heap->add(all + i * piece, piece, [this](const region& lower, const region& upper) {
      asked.emplace_back(&lower, &upper);
      return agree;
    });
  }
};

TEST_F(AdjacentRegions, BecomeOneInWhateverOrderTheyCome) {
  std::vector<std::size_t> order{0, 1, 2, 3};
  do {
    for (const std::size_t i : order) {
      bring(i);
      ASSERT_EQ(fault(), heap_fault::none);
      const heap_counters n = heap->counters();
      ASSERT_EQ(n.regions, n.free + n.fences);
      ASSERT_EQ(n.empty, n.regions);
    }
    region* const whole = heap->empty_region();
    ASSERT_EQ(static_cast<void*>(whole), all);
    EXPECT_EQ(whole->bytes, sizeof(all));
    EXPECT_EQ(whole->next, nullptr);
    EXPECT_EQ(heap->counters().free_blocks, 1U);
    EXPECT_EQ(heap->counters().fences, boundary_heap::region_overhead) << "D2-09";
    void* const large = heap->allocate(sizeof(all) - boundary_heap::region_overhead - block::overhead, 1);
    ASSERT_NE(large, nullptr) << "one block over all four";
    std::memset(large, 0xFF, boundary_heap::usable_size(large));
    EXPECT_EQ(heap->deallocate(large).emptied, whole);
    heap->remove(whole);
    EXPECT_EQ(heap->counters().regions, 0U);
  } while (std::next_permutation(order.begin(), order.end()));
}

TEST_F(AdjacentRegions, AreJoinedAroundLiveBlocks) {
  bring(0);
  std::vector<void*> low;
  while (void* const p = heap->allocate(40, 1)) low.push_back(p);
  bring(2);
  std::vector<void*> high;
  while (void* const p = heap->allocate(40, 1)) high.push_back(p);
  bring(1);
  EXPECT_EQ(fault(), heap_fault::none);
  EXPECT_EQ(heap->counters().empty, 0U);
  EXPECT_EQ(heap->counters().free_blocks, 1U) << "the new piece and what was between";
  for (void* const p : low) EXPECT_EQ(heap->deallocate(p).emptied, nullptr);
  EXPECT_EQ(fault(), heap_fault::none);
  for (std::size_t i = 0; i + 1 < high.size(); ++i) EXPECT_EQ(heap->deallocate(high[i]).emptied, nullptr);
  region* const whole = heap->deallocate(high.back()).emptied;
  ASSERT_EQ(static_cast<void*>(whole), all);
  EXPECT_EQ(whole->bytes, 3 * piece);
  EXPECT_EQ(heap->counters().empty, 3 * piece);
  EXPECT_EQ(fault(), heap_fault::none);
}

TEST_F(AdjacentRegions, AreAskedForTheOneAboveFirstAndStayApartWhenTheAnswerIsNo) {
  region* const low = bring(0);
  region* const high = bring(2);
  EXPECT_TRUE(asked.empty()) << "they do not touch";
  agree = false;
  region* const middle = bring(1);
  ASSERT_EQ(asked.size(), 2U);
  EXPECT_EQ(asked[0], (std::pair<const region*, const region*>{middle, high}));
  EXPECT_EQ(asked[1], (std::pair<const region*, const region*>{low, middle}));
  EXPECT_EQ(heap->counters().fences, 3 * boundary_heap::region_overhead);
  EXPECT_EQ(fault(), heap_fault::none);
  for (region* const r : {high, low, middle}) {
    EXPECT_EQ(r->bytes, piece);
    heap->remove(r);
    EXPECT_EQ(fault(), heap_fault::none);
  }
  EXPECT_EQ(heap->add(all, piece), low) << "never joined without a question";
  EXPECT_EQ(heap->add(all + piece, piece), middle);
  EXPECT_EQ(heap->counters().fences, 2 * boundary_heap::region_overhead);
}

TEST_F(BoundaryHeap, CheckOfOneBlockFindsWhatWasOverwrittenAtAndBesideIt) {
  add(1 << 12);
  auto* const a = static_cast<std::byte*>(heap->allocate(104, 1));
  auto* const b = static_cast<std::byte*>(heap->allocate(100, 1));
  auto* const c = static_cast<std::byte*>(heap->allocate(104, 1));
  EXPECT_EQ(heap->check(b).fault, heap_fault::none);
  EXPECT_EQ(heap->check(nullptr).fault, heap_fault::not_a_block);
  EXPECT_EQ(heap->check(heap.get()).fault, heap_fault::not_a_block);
  EXPECT_EQ(heap->check(b + 16).fault, heap_fault::not_a_block);

  const auto damaged = [&](std::byte* where, const std::byte* block, heap_fault expected) {
    const std::byte before = *where;
    *where ^= std::byte{0x80};
    EXPECT_EQ(heap->check(block).fault, expected);
    *where = before;
    EXPECT_EQ(heap->check(block).fault, heap_fault::none);
  };
  damaged(a - 1, a, heap_fault::not_a_block);    // its own word
  damaged(a + 104, a, heap_fault::not_a_block);  // one byte past the end
  damaged(b + 103, b, heap_fault::bad_end);      // how much of it is slack
  ASSERT_EQ(heap->deallocate(b).fault, heap_fault::none);
  EXPECT_EQ(heap->check(b).fault, heap_fault::already_free);
  damaged(c - 16, c, heap_fault::bad_end);  // the end of free b
  damaged(b - 8, c, heap_fault::bad_end);   // the word of free b
  EXPECT_EQ(heap->check(a).fault, heap_fault::none);
}

// Blocks of every size and alignment come and go; the map knows where each is and what it holds.
TEST_F(BoundaryHeap, AgreesWithAMapForRandomOperations) {
  const std::uint64_t seed = 987654321;
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937_64 random(seed);
  struct entry {
    std::size_t bytes;
    std::uint8_t pattern;
  };
  std::map<std::byte*, entry> live;
  std::size_t regions = 0;
  const auto intact = [](const std::byte* p, const entry& e) {
    return std::all_of(p, p + e.bytes, [&](std::byte b) { return b == std::byte{e.pattern}; });
  };
  const auto size = [&] { return random() % (std::size_t{1} << (random() % 14)); };

  for (int step = 0; step < 20'000; ++step) {
    const auto kind = random() % 8;
    if (kind < 4 || live.empty()) {
      const std::size_t bytes = size();
      const std::size_t alignment = random() % 4 == 0 ? std::size_t{1} << (random() % 13) : 1;
      auto* p = static_cast<std::byte*>(heap->allocate(bytes, alignment));
      if (p == nullptr) {
        add(std::max<std::size_t>(16384, heap->region_bytes_for(bytes, alignment)));
        ++regions;
        p = static_cast<std::byte*>(heap->allocate(bytes, alignment));
      }
      ASSERT_NE(p, nullptr);
      ASSERT_TRUE(is_aligned(p, alignment));
      const auto next = live.upper_bound(p);
      ASSERT_TRUE(next == live.end() || p + bytes <= next->first);
      ASSERT_TRUE(next == live.begin() || std::prev(next)->first + std::prev(next)->second.bytes <= p);
      const entry e{bytes, static_cast<std::uint8_t>(random())};
      std::memset(p, e.pattern, bytes);
      ASSERT_TRUE(live.emplace(p, e).second);
    } else {
      auto it = live.lower_bound(std::next(live.begin(), static_cast<std::ptrdiff_t>(random() % live.size()))->first);
      ASSERT_TRUE(intact(it->first, it->second));
      if (kind == 4) {
        const std::size_t bytes = size();
        if (heap->resize(it->first, bytes)) {
          it->second.bytes = std::min(it->second.bytes, bytes);
          ASSERT_TRUE(intact(it->first, it->second));
          it->second.bytes = bytes;
          std::memset(it->first, it->second.pattern, bytes);
        }
      } else {
        const auto freed = heap->deallocate(it->first);
        ASSERT_EQ(freed.fault, heap_fault::none);
        live.erase(it);
        if (freed.emptied != nullptr && random() % 2 == 0) {
          heap->remove(freed.emptied);
          --regions;
        }
      }
    }
    const heap_counters& n = heap->counters();
    ASSERT_EQ(n.regions, n.used + n.free + n.fences);
    ASSERT_EQ(n.used_blocks, live.size());
    ASSERT_EQ(fault(), heap_fault::none) << "step " << step;
  }
  std::size_t used = 0;
  heap->walk([&](const heap_block& b) { used += b.used ? 1 : 0; });
  EXPECT_EQ(used, live.size());
  for (const auto& [p, e] : live) {
    EXPECT_TRUE(intact(p, e));
    EXPECT_EQ(heap->deallocate(p).fault, heap_fault::none);
  }
  EXPECT_EQ(heap->counters().free_blocks, regions);
  EXPECT_EQ(heap->counters().empty, heap->counters().regions);
  EXPECT_EQ(fault(), heap_fault::none);
}

// Pages of a small heap. The model is the list of all free blocks: the smallest that will do, exactly where that is below
// 1 KiB, within 1/32 beyond.
TEST_F(BoundaryHeap, TakesTheBestFit) {
  const std::uint64_t seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937_64 random(seed);
  for (int i = 0; i < 64; ++i) add(8192);
  std::vector<void*> live;
  for (int step = 0; step < 20'000; ++step) {
    if (!live.empty() && random() % 100 < 48) {
      std::swap(live[random() % live.size()], live.back());
      ASSERT_EQ(heap->deallocate(live.back()).fault, heap_fault::none);
      live.pop_back();
      continue;
    }
    const std::size_t bytes = 4 + random() % 253;
    const std::size_t wanted = std::max<std::size_t>(32, round_up(bytes + 8, 16));
    std::map<const void*, std::size_t> free;
    std::size_t best = SIZE_MAX;
    heap->walk([&](const heap_block& b) {
      if (b.used) return;
      free.emplace(b.payload, b.bytes);
      if (b.bytes >= wanted) best = std::min(best, b.bytes);
    });
    void* const p = heap->allocate(bytes, 1);
    ASSERT_EQ(p != nullptr, best != SIZE_MAX);
    if (p == nullptr) continue;
    ASSERT_TRUE(free.contains(p)) << "cut from its start";
    ASSERT_LE(free[p], best < 1024 ? best : best + best / 32) << bytes;
    live.push_back(p);
  }
}

}  // namespace
}  // namespace strata::mem
