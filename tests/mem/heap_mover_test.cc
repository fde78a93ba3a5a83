// SPDX-License-Identifier: Apache-2.0
// Claims: a block grows in the order of S2-34 (in place, up, down, both ways), keeps its contents and its alignment (W2-03,
// D2-04), or changes nothing; a compaction packs the movable blocks of each region towards its start, keeps their
// alignment and contents, tells each move once and after the copy (W2-04), moves nothing else and nothing across regions;
// between its steps anything may happen; a second one has nothing to do before a block becomes free (W2-04); a step looks
// at so many blocks and no more (W2-11); old addresses are no blocks. Model test W2-01: every operation of the heap, at
// random, against a map that knows where each block is and what it holds; counters add up at every step.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "tests/support/random_run.h"

import strata.mem;

namespace strata::mem {
namespace {

struct HeapMover : testing::Test {
  std::vector<std::unique_ptr<std::byte[]>> memory;
  std::unique_ptr<boundary_heap> heap = std::make_unique<boundary_heap>(boundary_heap::geometry{});
  std::vector<heap_move> moves;

  region* add(std::size_t bytes) {
    memory.push_back(std::make_unique_for_overwrite<std::byte[]>(bytes));
    return heap->add(memory.back().get(), bytes);
  }
  heap_mover mover() { return heap_mover(*heap); }
  heap_fault fault() const { return heap->check().fault; }

  std::byte* allocate(std::size_t bytes, int pattern, std::size_t alignment = 1) {
    auto* const p = static_cast<std::byte*>(heap->allocate(bytes, alignment));
    if (p != nullptr) std::memset(p, pattern, bytes);
    return p;
  }
  std::byte* movable(std::size_t bytes, int pattern, std::size_t alignment = 1, void* owner = nullptr) {
    auto* const p = static_cast<std::byte*>(mover().allocate(bytes, alignment, owner));
    if (p != nullptr) std::memset(p, pattern, bytes);
    return p;
  }
  void free(void* p) { ASSERT_EQ(heap->deallocate(p).fault, heap_fault::none); }

  // A whole compaction, checked at every step.
  void compact() {
    moves.clear();
    mover().start();
    for (heap_move m; mover().step(m) != heap_step::done;) {
      ASSERT_EQ(fault(), heap_fault::none);
      moves.push_back(m);
    }
    ASSERT_EQ(fault(), heap_fault::none);
  }
};

bool holds(const std::byte* p, std::size_t bytes, int pattern) {
  return std::all_of(p, p + bytes, [&](std::byte b) { return b == static_cast<std::byte>(pattern); });
}

TEST_F(HeapMover, GrowsInPlaceThenUpThenDownThenBothWays) {
  add(1 << 14);
  std::byte* const below = allocate(1000, 1);
  std::byte* const p = allocate(1000, 2);
  std::byte* const above = allocate(1000, 3);
  std::byte* const end = allocate(1000, 4);
  EXPECT_EQ(mover().grow(p, 1000, 1), p) << "fits";
  EXPECT_EQ(mover().grow(p, 1500, 1), nullptr) << "nothing free beside it";
  EXPECT_TRUE(holds(p, 1000, 2));
  free(below);
  free(above);
  EXPECT_EQ(mover().grow(p, 1900, 1), p) << "up comes before down";
  EXPECT_TRUE(holds(p, 1000, 2));
  std::memset(p, 5, 1900);
  std::byte* const blocker = allocate(60, 6);
  ASSERT_EQ(blocker, p + 1920) << "what is left above";
  auto* const down = static_cast<std::byte*>(mover().grow(p, 2800, 1));
  EXPECT_EQ(down, below);
  EXPECT_TRUE(holds(down, 1900, 5));
  std::memset(down, 7, 2800);
  EXPECT_EQ(fault(), heap_fault::none);
  EXPECT_TRUE(holds(blocker, 60, 6));
  EXPECT_TRUE(holds(end, 1000, 4));
}

TEST_F(HeapMover, GrowsBothWaysWhenNeitherDoes) {
  add(1 << 14);
  std::byte* const below = allocate(1000, 1);
  std::byte* const p = allocate(1000, 2);
  std::byte* const above = allocate(1000, 3);
  std::byte* const end = allocate(1000, 4);
  free(below);
  free(above);
  auto* const q = static_cast<std::byte*>(mover().grow(p, 3000, 1));
  EXPECT_EQ(q, below);
  EXPECT_TRUE(holds(q, 1000, 2));
  std::memset(q, 5, 3000);
  EXPECT_EQ(boundary_heap::usable_size(q), 3016U) << "all three blocks";
  EXPECT_TRUE(holds(end, 1000, 4));
  EXPECT_EQ(fault(), heap_fault::none);
  EXPECT_EQ(heap->deallocate(p).fault, heap_fault::not_a_block) << "the old address";
}

TEST_F(HeapMover, ARefusedGrowthChangesNothing) {
  add(1 << 14);
  std::byte* const below = allocate(100, 1);
  std::byte* const p = allocate(1000, 2);
  allocate(100, 3);
  free(below);
  const heap_counters before = heap->counters();
  for (const std::size_t bytes :
       {std::size_t{1300}, std::size_t{1} << 14, boundary_heap::max_bytes, std::numeric_limits<std::size_t>::max()}) {
    EXPECT_EQ(mover().grow(p, bytes, 1), nullptr);
  }
  EXPECT_TRUE(holds(p, 1000, 2));
  EXPECT_EQ(heap->counters().used, before.used);
  EXPECT_EQ(heap->counters().free, before.free);
  EXPECT_EQ(fault(), heap_fault::none);
}

TEST_F(HeapMover, GrowingDownKeepsTheAlignment) {  // W2-03, D2-04
  for (std::size_t alignment = 32; alignment <= 4096; alignment *= 2) {
    add(1 << 16);
    std::byte* const below = allocate(3 * alignment - block::overhead, 1, alignment);
    std::byte* const p = allocate(100, 2, alignment);
    ASSERT_GT(address(p), address(below));
    std::byte* end = nullptr;
    while (end < p) end = allocate(40, 3);  // until nothing is free beside p
    ASSERT_LE(address(end) - address(p), 200U);
    free(below);
    auto* const q = static_cast<std::byte*>(mover().grow(p, 100 + alignment, alignment));
    ASSERT_EQ(q, below);
    EXPECT_TRUE(holds(q, 100, 2));
    EXPECT_TRUE(holds(end, 40, 3));
    EXPECT_EQ(fault(), heap_fault::none);
    heap = std::make_unique<boundary_heap>(boundary_heap::geometry{});
  }
}

TEST_F(HeapMover, GrowsMovableBlocksWithTheirOwnerAndAlignment) {
  add(1 << 16);
  int owner = 0;
  std::byte* const below = allocate(1024 - block::overhead, 1, 256);
  std::byte* const p = movable(500, 2, 256, &owner);
  std::byte* end = nullptr;
  while (end < p) end = allocate(10, 3);
  free(below);
  auto* const q = static_cast<std::byte*>(mover().grow(p, 1200, 1));
  ASSERT_EQ(q, below);
  EXPECT_TRUE(is_aligned(q, 256));
  EXPECT_TRUE(holds(q, 500, 2));
  EXPECT_EQ(heap_mover::owner(q), &owner);
  std::memset(q, 4, boundary_heap::usable_size(q));
  EXPECT_EQ(heap_mover::owner(q), &owner) << "beyond what may be used";
  EXPECT_TRUE(holds(end, 10, 3));
  EXPECT_EQ(fault(), heap_fault::none);
  ASSERT_TRUE(heap->resize(q, 20));
  EXPECT_EQ(heap_mover::owner(q), &owner);
  EXPECT_TRUE(holds(q, 20, 4));
  heap->walk([&](const heap_block& b) {
    if (b.payload != q) return;
    EXPECT_TRUE(b.movable);
    EXPECT_EQ(b.asked, 20U);
  });
  EXPECT_EQ(fault(), heap_fault::none);
}

// W2-04: every second block of a full region goes; what is left is packed, and the hole is as large as the sum.
TEST_F(HeapMover, ACompactionMakesOneHoleOfAll) {
  add(1 << 18);
  struct owner {
    std::byte* at;
    int pattern;
    int told = 0;
  };
  std::vector<std::unique_ptr<owner>> owners;
  for (int i = 0;; ++i) {
    auto o = std::make_unique<owner>(nullptr, i % 251);
    o->at = movable(static_cast<std::size_t>(100 + i % 700), o->pattern, 1, o.get());
    if (o->at == nullptr) break;
    owners.push_back(std::move(o));
  }
  for (std::size_t i = 0; i < owners.size(); i += 2) free(owners[i]->at);
  const std::size_t holes = heap->counters().free;
  EXPECT_EQ(heap->allocate(holes - block::overhead, 1), nullptr);
  ASSERT_TRUE(mover().worthwhile());

  mover().start();
  for (heap_move m; mover().step(m) != heap_step::done;) {
    auto* const o = static_cast<owner*>(m.owner);
    EXPECT_EQ(o->at, m.from);
    ++o->told;
    o->at = static_cast<std::byte*>(m.to);
    EXPECT_TRUE(holds(o->at, m.bytes, o->pattern)) << "the copy comes before the notice";
  }
  for (std::size_t i = 1; i < owners.size(); i += 2) {
    EXPECT_EQ(owners[i]->told, 1);
    EXPECT_TRUE(holds(owners[i]->at, 100 + i % 700, owners[i]->pattern));
  }
  EXPECT_EQ(fault(), heap_fault::none);
  EXPECT_EQ(heap->counters().free_blocks, 1U);
  EXPECT_NE(heap->allocate(holes - block::overhead, 1), nullptr) << "as large as the sum of the holes";
  EXPECT_EQ(fault(), heap_fault::none);
}

TEST_F(HeapMover, NoSecondCompactionBeforeABlockBecomesFree) {  // W2-04
  add(1 << 14);
  EXPECT_FALSE(mover().worthwhile());
  std::byte* const a = movable(100, 1);
  std::byte* const b = movable(100, 2);
  EXPECT_FALSE(mover().worthwhile());
  free(a);
  EXPECT_TRUE(mover().worthwhile());
  compact();
  ASSERT_EQ(moves.size(), 1U);
  EXPECT_FALSE(mover().worthwhile());
  movable(100, 3);
  EXPECT_FALSE(mover().worthwhile()) << "no block has become free";
  ASSERT_TRUE(heap->resize(moves[0].to, 20));
  EXPECT_TRUE(mover().worthwhile()) << "a part of one has";
  compact();
  EXPECT_FALSE(mover().worthwhile());
  free(moves.empty() ? b : moves[0].to);
  mover().start();
  heap_move m;
  EXPECT_TRUE(mover().worthwhile()) << "it is under way";
  while (mover().step(m) != heap_step::done) continue;
  EXPECT_FALSE(mover().worthwhile());
}

TEST_F(HeapMover, KeptBlocksMakeACompactionWorthwhileAndAreJoined) {
  heap = std::make_unique<boundary_heap>(boundary_heap::geometry{.keep = 1024});
  add(1 << 16);
  std::vector<std::byte*> blocks;
  for (int i = 0; i < 200; ++i) blocks.push_back(movable(100, 1));
  for (std::size_t i = 0; i < 20; i += 2) free(blocks[i]);
  ASSERT_GT(heap->counters().kept_blocks, 0U);
  EXPECT_TRUE(mover().worthwhile());
  compact();
  EXPECT_EQ(heap->counters().kept_blocks, 0U);
  EXPECT_EQ(heap->counters().free_blocks, 1U);
  EXPECT_EQ(moves.size(), 200U - 10U);
}

TEST_F(HeapMover, ACompactionKeepsEveryAlignment) {  // W2-03, D2-04
  test::random_requests random(9, 3000, 4096);
  add(1 << 20);
  struct live {
    std::byte* at;
    std::size_t bytes;
    std::size_t alignment;
    int pattern;
  };
  std::map<const void*, live> blocks;
  for (int i = 0; i < 400; ++i) {
    const live b{nullptr, random.below(600), std::size_t{1} << random.below(11), i % 256};
    std::byte* const p = movable(b.bytes, b.pattern, b.alignment);
    ASSERT_NE(p, nullptr);
    blocks[p] = {p, b.bytes, b.alignment, b.pattern};
  }
  for (auto it = blocks.begin(); it != blocks.end();) {
    if (random.once_in(2)) {
      free(it->second.at);
      it = blocks.erase(it);
    } else {
      ++it;
    }
  }
  const std::size_t before = heap->counters().free_blocks;
  compact();
  EXPECT_GT(moves.size(), 50U);
  EXPECT_LT(heap->counters().free_blocks, before);
  for (const heap_move& m : moves) {
    const auto it = blocks.find(m.from);
    ASSERT_NE(it, blocks.end());
    live b = it->second;
    blocks.erase(it);
    EXPECT_LT(address(m.to), address(m.from));
    EXPECT_EQ(m.bytes, b.bytes);
    b.at = static_cast<std::byte*>(m.to);
    ASSERT_TRUE(blocks.emplace(m.to, b).second);
  }
  for (const auto& [p, b] : blocks) {
    EXPECT_TRUE(is_aligned(p, b.alignment));
    EXPECT_TRUE(holds(b.at, b.bytes, b.pattern));
    EXPECT_EQ(heap->deallocate(b.at).fault, heap_fault::none);
  }
  EXPECT_EQ(heap->counters().used, 0U);
}

TEST_F(HeapMover, BlocksThatMayNotMoveStay) {
  add(1 << 14);
  std::byte* const a = allocate(100, 1);
  std::byte* const fixed = allocate(100, 2);
  std::byte* const placed =
      static_cast<std::byte*>(heap_placer(*heap).allocate({.size = 100, .align = 8, .offset = 4}));
  std::byte* const b = allocate(100, 3);
  std::byte* const c = movable(100, 4);
  free(a);
  free(b);
  compact();
  ASSERT_EQ(moves.size(), 1U);
  EXPECT_EQ(moves[0].from, c);
  EXPECT_EQ(moves[0].to, b);
  EXPECT_TRUE(holds(fixed, 100, 2));
  EXPECT_EQ(heap->inspect(fixed), heap_fault::none);
  EXPECT_EQ(heap->inspect(placed), heap_fault::none);
}

TEST_F(HeapMover, NothingMovesAcrossRegions) {
  std::vector<region*> regions;
  std::vector<std::byte*> blocks;
  for (int r = 0; r < 4; ++r) {
    regions.push_back(add(4096));
    while (std::byte* const p = movable(200, r)) blocks.push_back(p);
  }
  for (std::size_t i = 0; i < blocks.size(); i += 2) free(blocks[i]);
  compact();
  EXPECT_EQ(heap->counters().free_blocks, 4U);
  for (const heap_move& m : moves) EXPECT_EQ(heap->find_region(m.from), heap->find_region(m.to));
}

TEST_F(HeapMover, OldAddressesAreNoBlocks) {
  add(1 << 14);
  std::byte* const a = allocate(2000, 1);
  std::byte* const b = movable(100, 2);
  std::byte* const c = movable(100, 3);
  free(a);
  compact();
  ASSERT_EQ(moves.size(), 2U);
  for (std::byte* const old : {b, c}) {
    EXPECT_NE(heap->inspect(old), heap_fault::none);
    EXPECT_NE(heap->deallocate(old).fault, heap_fault::none);
  }
  EXPECT_EQ(fault(), heap_fault::none);
}

TEST_F(HeapMover, AStepLooksAtSoManyBlocksAndNoMore) {  // W2-11
  add(1 << 20);
  std::byte* const gap = allocate(100, 1);
  constexpr int fixed = 5 * heap_mover::most_visits;
  for (int i = 0; i < fixed; ++i) allocate(10, 2);
  std::byte* const fixed_gap = allocate(100, 1);
  movable(100, 3);
  free(gap);
  free(fixed_gap);
  mover().start();
  heap_move m;
  int looked = 0;
  while (mover().step(m) == heap_step::looked) ++looked;
  EXPECT_EQ(m.to, fixed_gap);
  EXPECT_EQ(looked, fixed / heap_mover::most_visits);
  EXPECT_EQ(mover().step(m), heap_step::done);
}

TEST_F(HeapMover, ARegionMayGoWhileItIsPacked) {
  region* const first = add(4096);
  std::vector<std::byte*> blocks;
  while (std::byte* const p = movable(200, 1)) blocks.push_back(p);
  region* const second = add(4096);
  while (std::byte* const p = movable(200, 2)) blocks.push_back(p);
  for (std::size_t i = 0; i < blocks.size(); i += 2) free(blocks[i]);
  mover().start();
  heap_move m;
  ASSERT_EQ(mover().step(m), heap_step::moved);
  const bool lower_is_first = address(first) < address(second);
  const region* const packed = lower_is_first ? first : second;
  ASSERT_EQ(heap->find_region(m.to), packed);
  std::vector<const void*> in_it;
  heap->walk([&](const heap_block& b) {
    if (b.used && heap->find_region(b.payload) == packed) in_it.push_back(b.payload);
  });
  region* emptied = nullptr;
  for (const void* const p : in_it) emptied = heap->deallocate(const_cast<void*>(p)).emptied;
  ASSERT_EQ(emptied, packed);
  heap->remove(emptied);
  EXPECT_EQ(fault(), heap_fault::none);
  std::size_t more = 0;
  while (mover().step(m) == heap_step::moved) ++more;
  EXPECT_GT(more, 5U) << "the other region is packed";
  EXPECT_EQ(heap->counters().free_blocks, 1U);
  EXPECT_EQ(fault(), heap_fault::none);
}

// W2-01. Pieces of one memory come and go as regions, joined with their neighbours or not; a compaction is always under
// way, a step now and then.
class Model {
 public:
  Model() {
    for (std::size_t i = 0; i < pieces; ++i) spare_.push_back(i);
  }

  void step() {
    if (random_.once_in(2000)) return drain();
    switch (random_.below(12)) {
      case 0:
      case 1:
      case 2:
        return allocate();
      case 3:
        return place();
      case 4:
        return allocate_movable();
      case 5:
      case 6:
      case 7:
        return deallocate();
      case 8:
        return grow();
      case 9:
        return resize();
      case 10:
        return ask();
      default:
        return compact();
    }
  }

  void expect_counters_add_up() {
    const heap_counters n = heap_.counters();
    ASSERT_EQ(n.regions, n.used + n.kept + n.free + n.fences);
    ASSERT_EQ(n.regions, (pieces - spare_.size()) * piece);
    ASSERT_EQ(n.used_blocks, live_.size());
  }

  void expect_all_is_well() {
    const heap_report report = heap_.check();
    ASSERT_EQ(report.fault, heap_fault::none) << describe(report.fault);
    std::size_t seen = 0;
    heap_.walk([&](const heap_block& b) {
      if (!b.used) return;
      ++seen;
      const auto it = by_address_.find(address(b.payload));
      ASSERT_NE(it, by_address_.end());
      const entry& e = live_[it->second];
      ASSERT_EQ(b.asked, e.bytes);
      ASSERT_EQ(heap_.check(b.payload).fault, heap_fault::none);
      ASSERT_EQ(b.movable, e.kind == kind::movable);
    });
    ASSERT_EQ(seen, live_.size());
  }

  void drain() {
    while (!live_.empty()) remove(live_.size() - 1);
    heap_.join_kept();
    const heap_counters n = heap_.counters();
    ASSERT_EQ(n.used, 0U);
    ASSERT_EQ(n.empty, n.regions);
    ASSERT_EQ(heap_.check().fault, heap_fault::none);
  }

  std::size_t moved = 0;
  std::size_t inside = 0;
  std::size_t grown_down = 0;
  std::size_t joined = 0;
  std::size_t removed = 0;

 private:
  enum class kind : std::uint8_t { plain, placed, movable };
  struct entry {
    std::byte* at;
    std::size_t bytes;
    std::size_t alignment;
    placement::request place;
    std::uint8_t pattern;
    kind kind;
  };
  static constexpr std::size_t piece = 32768;
  static constexpr std::size_t pieces = 48;

  // No overlap with any live block, and inside a region.
  void enter(entry e) {
    ASSERT_EQ(heap_.inspect(e.at), heap_fault::none);
    const auto next = by_address_.upper_bound(address(e.at));
    ASSERT_TRUE(next == by_address_.end() || address(e.at) + e.bytes <= next->first);
    if (next != by_address_.begin()) {
      const auto& [below, number] = *std::prev(next);
      ASSERT_LE(below + live_[number].bytes, address(e.at));
    }
    ASSERT_GE(boundary_heap::usable_size(e.at), e.bytes);
    ASSERT_TRUE(is_aligned(e.at, e.alignment));
    e.pattern = static_cast<std::uint8_t>(random_.below(256));
    std::memset(e.at, e.pattern, e.bytes);
    ASSERT_TRUE(by_address_.emplace(address(e.at), live_.size()).second);
    live_.push_back(e);
  }

  std::size_t any() { return random_.below(live_.size()); }

  void expect_intact(const entry& e, std::size_t bytes) {
    ASSERT_TRUE(std::all_of(e.at, e.at + bytes, [&](std::byte b) { return b == std::byte{e.pattern}; }));
  }

  void forget(std::size_t i) {
    by_address_.erase(address(live_[i].at));
    if (i + 1 != live_.size()) {
      live_[i] = live_.back();
      by_address_[address(live_[i].at)] = i;
    }
    live_.pop_back();
  }

  void remove(std::size_t i) {
    expect_intact(live_[i], live_[i].bytes);
    region* const emptied = heap_.deallocate(live_[i].at).emptied;
    forget(i);
    if (emptied != nullptr && random_.once_in(2)) give_back(emptied);
  }

  void give_back(region* r) {
    const std::size_t first = (address(r) - address(memory_.get())) / piece;
    const std::size_t count = r->bytes / piece;
    heap_.remove(r);
    for (std::size_t i = 0; i < count; ++i) spare_.push_back(first + i);
    ++removed;
  }

  bool bring() {
    if (spare_.empty()) return false;
    std::swap(spare_[random_.below(spare_.size())], spare_.back());
    heap_.add(memory_.get() + spare_.back() * piece, piece, [&](const region&, const region&) {
      const bool yes = !random_.once_in(3);
      joined += yes ? 1 : 0;
      return yes;
    });
    spare_.pop_back();
    return true;
  }

  void allocate() {
    const std::size_t bytes = random_.bytes();
    const std::size_t alignment = random_.alignment();
    auto* p = static_cast<std::byte*>(heap_.allocate(bytes, alignment));
    if (p == nullptr && bring()) p = static_cast<std::byte*>(heap_.allocate(bytes, alignment));
    if (p == nullptr) return shrink();
    enter({p, bytes, alignment, {}, 0, kind::plain});
  }

  void allocate_movable() {
    const std::size_t bytes = random_.bytes();
    const std::size_t alignment = random_.alignment();
    void* const owner = memory_.get() + bytes;
    auto* const p = static_cast<std::byte*>(heap_mover(heap_).allocate(bytes, alignment, owner));
    if (p == nullptr) return shrink();
    ASSERT_EQ(heap_mover::owner(p), owner);
    enter({p, bytes, alignment, {}, 0, kind::movable});
  }

  void place() {
    const std::size_t span = random_.once_in(2) ? 0 : random_.below(5000);
    const placement::request r{random_.below(span == 0 ? 2000 : span + 2), random_.below(200),
                               static_cast<std::ptrdiff_t>(random_.below(600)) - 300, span};
    auto* const p = static_cast<std::byte*>(heap_placer(heap_).allocate(r));
    if (p == nullptr) return;
    if (r.align != 0) {
      ASSERT_EQ((static_cast<std::ptrdiff_t>(address(p)) - r.offset) % static_cast<std::ptrdiff_t>(r.align), 0);
    }
    if (r.span != 0 && r.size != 0) {
      ASSERT_EQ(address(p) / r.span, (address(p) + r.size - 1) / r.span);
    }
    inside += is_inside(p) ? 1 : 0;
    enter({p, r.size, 1, r, 0, kind::placed});
  }

  void deallocate() {
    if (!live_.empty()) remove(any());
  }

  void shrink() {
    for (int i = 0; i < 5 && !live_.empty(); ++i) remove(any());
  }

  void changed(std::size_t i, std::byte* p, std::size_t bytes) {
    entry e = live_[i];
    forget(i);
    e.at = p;
    expect_intact(e, std::min(e.bytes, bytes));
    e.bytes = bytes;
    enter(e);
  }

  void grow() {
    if (live_.empty()) return;
    const std::size_t i = any();
    const std::size_t bytes = random_.bytes();
    auto* const p = static_cast<std::byte*>(heap_mover(heap_).grow(live_[i].at, bytes, live_[i].alignment));
    if (p == nullptr) return expect_intact(live_[i], live_[i].bytes);
    if (p != live_[i].at) {
      ASSERT_LT(address(p), address(live_[i].at));
      ASSERT_GT(bytes, live_[i].bytes);
      ++grown_down;
    }
    changed(i, p, bytes);
  }

  void resize() {
    if (live_.empty()) return;
    const std::size_t i = any();
    const std::size_t bytes = random_.bytes();
    if (heap_.resize(live_[i].at, bytes)) return changed(i, live_[i].at, bytes);
    expect_intact(live_[i], live_[i].bytes);
  }

  void ask() {
    if (live_.empty()) return;
    const std::size_t i = any();
    if (random_.once_in(2)) return changed(i, live_[i].at, heap_.take_slack(live_[i].at));
    const void* const interior = live_[i].at + 1 + random_.below(live_[i].bytes + 1);
    if (!by_address_.contains(address(interior))) expect_no_block_at(interior);
  }

  // One word in 65 536 looks sealed by chance.
  void expect_no_block_at(const void* p) {
    ++looks_;
    mistakes_ += heap_.inspect(p) == heap_fault::none ? 1 : 0;
    ASSERT_LE(mistakes_, 5 + looks_ / 5000);
  }

  void compact() {
    heap_mover mover(heap_);
    if (!under_way_) {
      if (!mover.worthwhile()) return;
      mover.start();
    }
    heap_move m;
    const heap_step outcome = mover.step(m);
    under_way_ = outcome != heap_step::done;
    if (outcome != heap_step::moved) return;
    ++moved;
    const auto it = by_address_.find(address(m.from));
    ASSERT_NE(it, by_address_.end());
    const std::size_t i = it->second;
    ASSERT_EQ(live_[i].kind, kind::movable);
    ASSERT_EQ(m.bytes, live_[i].bytes);
    expect_no_block_at(m.from);
    changed(i, static_cast<std::byte*>(m.to), live_[i].bytes);
  }

  test::random_requests random_{test::random_seed(), 20'000, 2048};
  std::unique_ptr<std::byte[]> memory_ = std::make_unique_for_overwrite<std::byte[]>(piece * pieces);
  boundary_heap heap_{boundary_heap::geometry{.keep = 512}};
  std::vector<std::size_t> spare_;
  std::vector<entry> live_;
  std::map<std::uintptr_t, std::size_t> by_address_;
  bool under_way_ = false;
  std::size_t looks_ = 0;
  std::size_t mistakes_ = 0;
};

TEST(HeapModel, AgreesWithAMapForEveryOperation) {  // W2-01
  const auto model = std::make_unique<Model>();
  const std::size_t steps = test::random_steps();
  for (std::size_t i = 0; i < steps; ++i) {
    model->step();
    model->expect_counters_add_up();
    if (i % 500 == 0) model->expect_all_is_well();
    ASSERT_FALSE(testing::Test::HasFatalFailure()) << "step " << i;
  }
  model->expect_all_is_well();
  model->drain();
  EXPECT_GT(model->moved, steps / 500);
  EXPECT_GT(model->inside, steps / 500);
  EXPECT_GT(model->grown_down, steps / 5000);
  EXPECT_GT(model->joined, steps / 25000);
  EXPECT_GT(model->removed, steps / 25000);
}

}  // namespace
}  // namespace strata::mem
