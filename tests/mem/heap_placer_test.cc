// SPDX-License-Identifier: Apache-2.0
// Claims: blocks lie where asked, for every combination of W2-02, and are refused only when impossible or where the free
// blocks have no such place; what lies in front of them stays free (S2-35); counters add up (D2-09); a placed block is
// deallocated, resized, inspected, checked and shown as any block; freed twice, from the wrong address or behind an
// underrun it is told apart; a region of region_bytes_for serves the request; however the free blocks lie, at most
// most_looks of them are looked at, and the request is not out of reach for that (W2-11).
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <limits>
#include <map>
#include <memory>
#include <random>
#include <vector>

import strata.mem;

namespace strata::mem {
namespace {

using numbers = std::initializer_list<std::size_t>;

bool is_there(const void* p, const placement::request& r) {
  const auto a = static_cast<std::int64_t>(address(p));
  if (r.align != 0 && (a - r.offset) % static_cast<std::int64_t>(r.align) != 0) return false;
  return r.span == 0 || r.size == 0 || address(p) / r.span == (address(p) + r.size - 1) / r.span;
}

struct HeapPlacer : testing::Test {
  std::vector<std::unique_ptr<std::byte[]>> memory;
  std::unique_ptr<boundary_heap> heap = std::make_unique<boundary_heap>(boundary_heap::geometry{});

  region* add(std::size_t bytes) {
    memory.push_back(std::make_unique_for_overwrite<std::byte[]>(bytes));
    return heap->add(memory.back().get(), bytes);
  }
  std::byte* place(const placement::request& r) { return static_cast<std::byte*>(heap_placer(*heap).allocate(r)); }
  heap_fault fault() const { return heap->check().fault; }
  std::size_t not_free() const {
    const heap_counters n = heap->counters();
    return n.regions - n.free - n.fences;
  }
};

TEST_F(HeapPlacer, PlacesEverySetOfW202) {
  std::mt19937_64 random(202);
  add(std::size_t{40} << 20);  // more than the least common multiple of any align, span and 16 here
  std::vector<std::pair<std::byte*, std::size_t>> live;
  std::size_t impossible = 0;
  std::size_t inside = 0;
  std::size_t placed = 0;
  for (const std::size_t align : numbers{0, 1, 3, 8, 12, 64, 4096}) {
    for (const std::size_t span : numbers{0, 7, 64, 4096, 2, 13, 61, 251, 509}) {
      for (std::size_t size = 0; size <= 3 * std::max<std::size_t>(span, 30); size += 1 + random() % (1 + span / 4)) {
        const auto twice = static_cast<std::ptrdiff_t>(2 * align);
        const std::ptrdiff_t offset = static_cast<std::ptrdiff_t>(random() % (4 * align + 1)) - twice;
        const placement::request r{size, align, offset, span};
        std::byte* const p = place(r);
        if (p == nullptr) {
          ++impossible;
          ASSERT_FALSE(placement(r).possible()) << size << ' ' << align << ' ' << offset << ' ' << span;
          continue;
        }
        ASSERT_TRUE(is_there(p, r)) << size << ' ' << align << ' ' << offset << ' ' << span << ' ' << address(p);
        ASSERT_GE(boundary_heap::usable_size(p), size);
        ASSERT_EQ(heap->inspect(p), heap_fault::none);
        inside += is_inside(p) ? 1 : 0;
        ++placed;
        std::memset(p, 0x5A, size);
        live.emplace_back(p, size);
        if (live.size() < 50) continue;
        ASSERT_EQ(fault(), heap_fault::none);
        std::ranges::shuffle(live, random);
        for (std::size_t i = 0; i < 25; ++i) {
          const auto [q, bytes] = live.back();
          ASSERT_TRUE(std::all_of(q, q + bytes, [](std::byte b) { return b == std::byte{0x5A}; }));
          ASSERT_EQ(heap->deallocate(q).fault, heap_fault::none);
          live.pop_back();
        }
      }
    }
  }
  EXPECT_GT(impossible, 100U);
  EXPECT_GT(inside, 100U);
  EXPECT_GT(placed, 1000U);
  for (const auto& [q, bytes] : live) EXPECT_EQ(heap->deallocate(q).fault, heap_fault::none);
  EXPECT_EQ(heap->counters().free_blocks, 1U);
  EXPECT_EQ(not_free(), 0U) << "D2-09";
  EXPECT_EQ(fault(), heap_fault::none);
}

TEST_F(HeapPlacer, ARegionOfTheBytesItNamesServesTheRequestWhereverItLies) {
  std::mt19937_64 random(11);
  alignas(4096) static std::byte storage[1 << 20];
  for (int round = 0; round < 3000; ++round) {
    const std::size_t span = random() % 4 == 0 ? 0 : random() % 300;
    const placement::request r{random() % (span + 2), random() % 100, static_cast<std::ptrdiff_t>(random() % 200) - 100,
                               span};
    heap = std::make_unique<boundary_heap>(
        boundary_heap::geometry{.quantum = std::size_t{16} << random() % 4, .min_block = 32 + random() % 100});
    const std::size_t bytes = heap_placer(*heap).region_bytes_for(r);
    ASSERT_EQ(bytes != 0, placement(r).possible());
    if (bytes == 0 || bytes > sizeof(storage) - 4096) continue;
    heap->add(storage + random() % 256 * 16, bytes);
    std::byte* const p = place(r);
    ASSERT_NE(p, nullptr) << r.size << ' ' << r.align << ' ' << r.offset << ' ' << span;
    ASSERT_TRUE(is_there(p, r));
    std::memset(p, 1, r.size);
    ASSERT_EQ(fault(), heap_fault::none);
    ASSERT_NE(heap->deallocate(p).emptied, nullptr);
    ASSERT_EQ(fault(), heap_fault::none);
  }
}

TEST_F(HeapPlacer, LeavesWhatIsInFrontFree) {
  add(1 << 20);
  std::byte* const p = place({.size = 100, .align = 65536});
  ASSERT_NE(p, nullptr);
  EXPECT_EQ(not_free(), 112U);
  EXPECT_EQ(heap->counters().free_blocks, 2U);
  std::byte* const q = place({.size = 100, .align = 65536, .offset = 5});
  ASSERT_NE(q, nullptr);
  EXPECT_LE(not_free(), 112U + round_up(8 + 100 + least_way + 15, 16)) << "its word, the way and the filler";
  EXPECT_EQ(fault(), heap_fault::none);
}

TEST_F(HeapPlacer, TellsTheImpossibleFromTheExhausted) {
  add(4096);
  const placement::request impossible{.size = 65, .align = 8, .offset = 0, .span = 64};
  EXPECT_EQ(place(impossible), nullptr);
  EXPECT_FALSE(placement(impossible).possible());
  EXPECT_EQ(heap_placer(*heap).region_bytes_for(impossible), 0U);
  const placement::request no_room{.size = 8000, .align = 3};
  EXPECT_EQ(place(no_room), nullptr);
  EXPECT_TRUE(placement(no_room).possible());
  EXPECT_GT(heap_placer(*heap).region_bytes_for(no_room), 8000U);
  for (const std::size_t huge : numbers{std::numeric_limits<std::size_t>::max(), max_object, max_object + 1}) {
    EXPECT_EQ(place({.size = huge, .align = 8, .offset = 4}), nullptr) << "D2-07";
    EXPECT_EQ(place({.size = huge, .align = huge, .span = huge}), nullptr);
    EXPECT_EQ(place({.size = 1, .align = huge, .span = huge}), nullptr);
    EXPECT_EQ(heap_placer(*heap).region_bytes_for({.size = huge, .align = huge}), 0U);
    EXPECT_EQ(heap_placer(*heap).region_bytes_for({.size = 1, .align = huge}), 0U);
  }
  EXPECT_EQ(fault(), heap_fault::none);
}

TEST_F(HeapPlacer, FindsTheOnlyBlockThatHasTheRightPlace) {
  // Sixteen free blocks of one size; just one, and not the first, has a place.
  add(1 << 16);
  std::vector<std::byte*> blocks;
  while (auto* const p = static_cast<std::byte*>(heap->allocate(1000, 16))) blocks.push_back(p);
  for (std::size_t i = 1; i < 16; i += 2) ASSERT_EQ(heap->deallocate(blocks[i]).fault, heap_fault::none);
  const auto wanted = static_cast<std::ptrdiff_t>(address(blocks[3]) + 64);
  const placement::request r{.size = 900, .align = std::size_t{1} << 40, .offset = wanted};
  EXPECT_EQ(place(r), blocks[3] + 64);
  EXPECT_EQ(fault(), heap_fault::none);
}

TEST_F(HeapPlacer, JoinsWhatIsKeptBeforeItGivesUp) {
  heap = std::make_unique<boundary_heap>(boundary_heap::geometry{.keep = 1024});
  add(4096);
  std::vector<void*> blocks;
  while (void* const p = heap->allocate(100, 1)) blocks.push_back(p);
  for (std::size_t i = 0; i < 6; ++i) ASSERT_EQ(heap->deallocate(blocks[i]).fault, heap_fault::none);
  ASSERT_GT(heap->counters().kept_blocks, 0U);
  EXPECT_NE(place({.size = 400, .align = 12, .offset = 1}), nullptr);
  EXPECT_EQ(fault(), heap_fault::none);
}

TEST_F(HeapPlacer, ResizesAPlacedBlockWhereItIs) {
  add(1 << 16);
  std::byte* const p = place({.size = 100, .align = 8, .offset = 4});
  ASSERT_TRUE(is_inside(p));
  std::memset(p, 1, 100);
  ASSERT_TRUE(heap->resize(p, 5000));
  EXPECT_GE(boundary_heap::usable_size(p), 5000U);
  EXPECT_EQ(fault(), heap_fault::none);
  EXPECT_TRUE(std::all_of(p, p + 100, [](std::byte b) { return b == std::byte{1}; }));
  std::memset(p, 2, 5000);
  ASSERT_TRUE(heap->resize(p, 10));
  EXPECT_LE(boundary_heap::usable_size(p), 40U);
  EXPECT_EQ(fault(), heap_fault::none);
  EXPECT_EQ(heap->take_slack(p), boundary_heap::usable_size(p));
  std::memset(p, 3, boundary_heap::usable_size(p));
  EXPECT_EQ(fault(), heap_fault::none);
  EXPECT_EQ(heap_mover(*heap).grow(p, 200, 4), p);
  EXPECT_EQ(heap_mover(*heap).grow(p, 1 << 17, 4), nullptr);
  EXPECT_NE(heap->deallocate(p).emptied, nullptr);
  EXPECT_EQ(fault(), heap_fault::none);
}

TEST_F(HeapPlacer, ShowsTheAddressHandedOutAndTheBytesAskedFor) {
  add(1 << 16);
  std::byte* const p = place({.size = 100, .align = 8, .offset = 4});
  std::size_t shown = 0;
  heap->walk([&](const heap_block& b) {
    if (!b.used) return;
    ++shown;
    EXPECT_EQ(b.payload, p);
    EXPECT_EQ(b.asked, 100U);
    EXPECT_LT(address(b.start), address(p) - least_way);
    EXPECT_FALSE(b.movable);
  });
  EXPECT_EQ(shown, 1U);
}

TEST_F(HeapPlacer, TellsMisuseOfPlacedBlocksApart) {
  add(1 << 16);
  std::byte* const p = place({.size = 100, .align = 8, .offset = 4});
  ASSERT_TRUE(is_inside(p));
  void* const other = heap->allocate(100, 1);
  std::byte* const payload = p - way_to(p);
  EXPECT_EQ(heap->deallocate(payload).fault, heap_fault::not_a_block) << "handed out by another address";
  EXPECT_EQ(heap->deallocate(p + 8).fault, heap_fault::not_a_block);
  EXPECT_EQ(heap->deallocate(p - 3).fault, heap_fault::not_a_block);
  EXPECT_EQ(heap->inspect(static_cast<std::byte*>(other) + 4), heap_fault::not_a_block);
  for (std::byte* underrun = p - 8; underrun < p; ++underrun) {
    *underrun ^= std::byte{0x40};
    EXPECT_EQ(heap->deallocate(p).fault, heap_fault::not_a_block) << "underrun";
    EXPECT_EQ(fault(), heap_fault::not_a_block);
    *underrun ^= std::byte{0x40};
  }
  EXPECT_EQ(fault(), heap_fault::none);
  EXPECT_EQ(heap->deallocate(p).fault, heap_fault::none);
  EXPECT_EQ(heap->deallocate(p).fault, heap_fault::already_free);
  EXPECT_EQ(heap->deallocate(other).fault, heap_fault::none);
  EXPECT_EQ(heap->deallocate(p).fault, heap_fault::already_free) << "joined with the block above";
  EXPECT_EQ(fault(), heap_fault::none);
}

TEST_F(HeapPlacer, AnAddressInsideIsNoBlockOnceItsMemoryBelongsToAnother) {
  add(1 << 12);
  std::byte* const p = place({.size = 100, .align = 8, .offset = 4});
  ASSERT_EQ(heap->deallocate(p).fault, heap_fault::none);
  auto* const q = static_cast<std::byte*>(heap->allocate(200, 1));
  ASSERT_LT(address(q), address(p));
  ASSERT_LT(address(p), address(q) + 200);
  EXPECT_EQ(heap->deallocate(p).fault, heap_fault::not_a_block) << "its filler is still there, unwritten";
  EXPECT_EQ(fault(), heap_fault::none);
}

// W2-11: thousands of free blocks, all of a size, none with the place that is wanted but one large block. The looks are
// counted by the blocks there are in front of it: were they all looked at, one of them would be taken.
TEST_F(HeapPlacer, DoesNotLookAtEveryFreeBlock) {
  EXPECT_LE(heap_placer::most_looks, 17);
  add(std::size_t{8} << 20);
  std::vector<std::byte*> blocks;
  while (auto* const p = static_cast<std::byte*>(heap->allocate(1000, 16))) blocks.push_back(p);
  // The block freed first comes last in its list. Only it has the place.
  std::byte* const only = blocks[1];
  for (std::size_t i = 1; i < blocks.size(); i += 2) ASSERT_EQ(heap->deallocate(blocks[i]).fault, heap_fault::none);
  const auto offset = static_cast<std::ptrdiff_t>(address(only));
  const placement::request there{.size = 990, .align = std::size_t{1} << 40, .offset = offset};
  EXPECT_EQ(place(there), nullptr) << "thousands of others come before it, and nothing is sure to hold it";
  EXPECT_TRUE(placement(there).possible());
  EXPECT_EQ(fault(), heap_fault::none);
}

}  // namespace
}  // namespace strata::mem
