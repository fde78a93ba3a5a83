// SPDX-License-Identifier: Apache-2.0
// Claims of a heap_resource about blocks that move: a request that would fail compacts once, and then has all the holes
// of an arena as one (W2-04), when max_bytes refuses and when upstream does (D2-01); each owner is told once, after the
// copy, with the very addresses, and alignment is kept (W2-03, D2-04); without movable blocks it just fails; no second
// compaction without a block freed in between; owners may use the heap, and throw, for no lock is held (D2-13); a
// stillness keeps everything where it is; neighbours of a moved block that may not move stay.
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <memory_resource>
#include <new>
#include <stdexcept>
#include <utility>
#include <vector>

#include "tests/support/failing_resource.h"
#include "tests/support/recording_resource.h"

import strata.pmr;

namespace strata::pmr {
namespace {

constexpr std::size_t kib = 1024;

// A block that knows where it is and what it must hold.
struct tenant : block_owner {
  std::byte* at = nullptr;
  std::size_t bytes = 0;
  std::byte fill{};
  int moves = 0;

  void moved(void* from, void* to) override {
    EXPECT_EQ(from, at);
    at = static_cast<std::byte*>(to);
    ++moves;
    EXPECT_TRUE(intact()) << "told after the copy";
  }
  [[nodiscard]] bool intact() const {
    for (std::size_t i = 0; i < bytes; ++i) {
      if (at[i] != fill) return false;
    }
    return true;
  }
};

template <class Heap>
struct house {
  Heap& memory;
  std::vector<std::unique_ptr<tenant>> tenants;

  explicit house(Heap& m) : memory(m) {}
  house(const house&) = delete;
  house& operator=(const house&) = delete;
  void move_in(std::size_t bytes, std::size_t alignment = 16) {
    auto t = std::make_unique<tenant>();
    t->at = static_cast<std::byte*>(memory.allocate_movable(bytes, alignment, *t));
    t->bytes = bytes;
    t->fill = static_cast<std::byte>(tenants.size());
    std::memset(t->at, static_cast<int>(t->fill), bytes);
    tenants.push_back(std::move(t));
  }
  void move_out(std::size_t i) {
    memory.deallocate(tenants[i]->at, tenants[i]->bytes);
    tenants[i].reset();
  }
  // Until the heap has no more; then every second goes. Returns the bytes of those.
  std::size_t fill_and_thin_out(std::size_t bytes) {
    try {
      for (;;) move_in(bytes);
    } catch (const std::bad_alloc&) {
    }
    std::size_t gone = 0;
    for (std::size_t i = 1; i < tenants.size(); i += 2) {
      gone += tenants[i]->bytes;
      move_out(i);
    }
    return gone;
  }
  void expect_all_intact() {
    for (const auto& t : tenants) {
      if (t != nullptr) EXPECT_TRUE(t->intact());
    }
  }
  ~house() {
    for (std::size_t i = 0; i < tenants.size(); ++i) {
      if (tenants[i] != nullptr) move_out(i);
    }
  }
};

void expect_sums(const layer& l) {
  const statistics s = l.stats();
  EXPECT_EQ(s.upstream, s.live + s.kept + s.overhead);
  EXPECT_FALSE(l.check().found()) << l.check().sentence;
}

struct HeapCompaction : testing::Test {
  test::recording_resource upstream;
};

// One arena and no more.
template <class Options>
Options one_arena(std::size_t bytes = 256 * kib) {
  Options options{};
  options.min_arena = options.max_arena = options.max_bytes = bytes;
  return options;
}

template <class Options>
void holes_become_one_at_max_bytes(std::pmr::memory_resource& upstream) {
  heap_resource memory(&upstream, one_arena<Options>());
  house inside(memory);
  const std::size_t gone = inside.fill_and_thin_out(1000);
  const std::size_t blocks_left = memory.stats().live_blocks;
  ASSERT_GT(gone, 100 * kib);
  const std::size_t before = memory.counters().compactions;

  void* const large = memory.allocate(gone);
  EXPECT_EQ(memory.counters().compactions, before + 1);
  EXPECT_EQ(memory.counters().frees_at_last_compaction, memory.counters().frees);
  std::memset(large, 0xEE, gone);
  inside.expect_all_intact();
  EXPECT_EQ(memory.stats().live_blocks, blocks_left + 1);
  expect_sums(memory);
  int told = 0;
  for (const auto& t : inside.tenants) {
    if (t == nullptr) continue;
    EXPECT_LE(t->moves, 1);
    told += t->moves;
  }
  EXPECT_GT(told, 100);
  memory.deallocate(large, gone);
}

TEST_F(HeapCompaction, MakesAllHolesOneWhenMaxBytesRefuses) {
  holes_become_one_at_max_bytes<heap>(upstream);
  holes_become_one_at_max_bytes<shared_heap>(upstream);
}

TEST_F(HeapCompaction, MakesAllHolesOneWhenUpstreamRefuses) {
  std::vector<std::byte> buffer(300 * kib);
  std::pmr::monotonic_buffer_resource limited(buffer.data(), buffer.size(), std::pmr::null_memory_resource());
  heap_resource memory(static_cast<std::pmr::memory_resource*>(&limited), heap{.min_arena = 250 * kib});
  house inside(memory);
  const std::size_t gone = inside.fill_and_thin_out(1000);
  const std::size_t before = memory.counters().compactions;
  const std::size_t wanted = 100 * kib;  // of the first arena's holes
  ASSERT_LT(wanted, gone);
  void* const large = memory.allocate(wanted);
  EXPECT_EQ(memory.counters().compactions, before + 1);
  inside.expect_all_intact();
  memory.deallocate(large, wanted);
}

TEST_F(HeapCompaction, DoesNotHappenTwiceWithoutABlockFreedInBetween) {
  heap_resource memory(&upstream, one_arena<heap>());
  house inside(memory);
  inside.fill_and_thin_out(1000);
  EXPECT_GT(memory.compact(), 0U);
  const std::size_t after = memory.counters().compactions;
  EXPECT_EQ(memory.compact(), 0U);
  EXPECT_THROW((void)memory.allocate(250 * kib), allocation_error);
  EXPECT_EQ(memory.counters().compactions, after);
  inside.move_out(0);
  EXPECT_GT(memory.compact(), 0U);
  EXPECT_EQ(memory.counters().compactions, after + 1);
}

TEST_F(HeapCompaction, DoesNotHappenWithoutMovableBlocks) {
  heap_resource memory(&upstream, one_arena<heap>());
  std::vector<void*> blocks;
  try {
    for (;;) blocks.push_back(memory.allocate(1000));
  } catch (const allocation_error&) {
  }
  for (std::size_t i = 0; i < blocks.size(); i += 2) memory.deallocate(blocks[i], 1000);
  EXPECT_THROW((void)memory.allocate(50 * kib), allocation_error);
  EXPECT_EQ(memory.compact(), 0U);
  EXPECT_EQ(memory.counters().compactions, 0U);
  expect_sums(memory);
  memory.release();
}

TEST_F(HeapCompaction, KeepsAlignmentAndLeavesOthersWhereTheyAre) {
  heap_resource memory(&upstream, {.min_arena = 512 * kib});
  house inside(memory);
  std::vector<void*> fixed;
  for (std::size_t i = 0; i < 200; ++i) {
    inside.move_in(100 + i, std::size_t{16} << (i % 7));
    if (i % 10 == 0) fixed.push_back(std::memset(memory.allocate(40), 0x5A, 40));
  }
  for (std::size_t i = 0; i < 200; i += 3) inside.move_out(i);
  EXPECT_GT(memory.compact(), 50U);
  for (std::size_t i = 0; i < 200; ++i) {
    if (inside.tenants[i] == nullptr) continue;
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(inside.tenants[i]->at) % (std::size_t{16} << (i % 7)), 0U);
  }
  inside.expect_all_intact();
  for (void* const p : fixed) {
    EXPECT_EQ(*static_cast<unsigned char*>(p), 0x5A);
    memory.deallocate(p, 40);
  }
  expect_sums(memory);
}

TEST_F(HeapCompaction, ReallocationOfAMovableBlockKeepsOwnerAndAlignment) {
  heap_resource memory(&upstream, one_arena<heap>());
  house inside(memory);
  inside.move_in(100);
  inside.move_in(100, 256);
  inside.move_in(100);
  tenant& t = *inside.tenants[1];
  void* const p = memory.reallocate(t.at, 100, 5000, 16);
  t.at = static_cast<std::byte*>(p);
  EXPECT_TRUE(t.intact());
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(p) % 256, 0U);
  t.bytes = 5000;
  std::memset(p, static_cast<int>(t.fill), 5000);
  inside.move_out(0);
  EXPECT_GT(memory.compact(), 0U);
  inside.expect_all_intact();
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(t.at) % 256, 0U);
  expect_sums(memory);
}

// Uses the heap in every notice, as D2-13 forbade.
template <class Heap>
struct busy_owner : block_owner {
  Heap* memory = nullptr;
  void* at = nullptr;
  void* mine = nullptr;
  void moved(void* /*from*/, void* to) override {
    at = to;
    EXPECT_GT(memory->stats().upstream, 0U);
    EXPECT_EQ(memory->compact(), 0U) << "one is under way";
    if (mine != nullptr) memory->deallocate(mine, 64);
    mine = memory->allocate(64);
  }
};

template <class Options>
void owners_may_use_the_heap(std::pmr::memory_resource& upstream) {
  heap_resource memory(&upstream, one_arena<Options>());
  std::vector<busy_owner<decltype(memory)>> owners(100);
  for (auto& o : owners) {
    o.memory = &memory;
    o.at = memory.allocate_movable(500, 16, o);
  }
  for (std::size_t i = 0; i < owners.size(); i += 2) memory.deallocate(owners[i].at, 500);
  EXPECT_GT(memory.compact(), 10U);
  expect_sums(memory);
  memory.release();
}

TEST_F(HeapCompaction, OwnersMayUseTheHeapWhenTold) {
  owners_may_use_the_heap<heap>(upstream);
  owners_may_use_the_heap<shared_heap>(upstream);
}

TEST_F(HeapCompaction, EndsWithWhatAnOwnerThrowsAndGoesOnNextTime) {
  struct refusing : block_owner {
    bool angry = false;
    void* at = nullptr;
    void moved(void* /*from*/, void* to) override {
      at = to;
      if (std::exchange(angry, false)) throw std::runtime_error("not now");
    }
  };
  heap_resource memory(&upstream, one_arena<shared_heap>());
  std::vector<refusing> owners(50);
  for (refusing& o : owners) o.at = memory.allocate_movable(500, 16, o);
  for (std::size_t i = 0; i < owners.size(); i += 2) memory.deallocate(owners[i].at, 500);
  owners[5].angry = true;
  EXPECT_THROW((void)memory.compact(), std::runtime_error);
  expect_sums(memory);
  EXPECT_GT(memory.compact(), 10U);
  expect_sums(memory);
  memory.release();
}

TEST_F(HeapCompaction, StillnessKeepsBlocksWhereTheyAre) {
  heap_resource memory(&upstream, one_arena<heap>());
  house inside(memory);
  inside.fill_and_thin_out(1000);
  {
    const decltype(memory)::stillness still(memory);
    EXPECT_EQ(memory.compact(), 0U);
    EXPECT_THROW((void)memory.allocate(100 * kib), allocation_error);
  }
  EXPECT_GT(memory.compact(), 0U);
}

}  // namespace
}  // namespace strata::pmr
