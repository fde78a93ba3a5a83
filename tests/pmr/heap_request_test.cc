// SPDX-License-Identifier: Apache-2.0
// Claims: aligned blocks of any residue within any span, sizes that wrap refused (D2-07); blocks that grow in every direction
// or move, and are as they were when that fails (W2-12).
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory_resource>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/failing_resource.h"
#include "tests/support/recording_resource.h"

import strata.mem;
import strata.pmr;

namespace strata::pmr {
namespace {

constexpr std::size_t kib = 1024;
constexpr std::size_t mib = 1024 * kib;
constexpr const char* blocks_wait = "under an inspector blocks wait before they are used again";

struct HeapRequest : testing::Test {
  test::recording_resource upstream;
};

void expect_sums(const layer& l) {
  const statistics s = l.stats();
  EXPECT_EQ(s.upstream, s.live + s.kept + s.overhead);
  EXPECT_FALSE(l.check().found()) << l.check().sentence;
}

TEST_F(HeapRequest, PutsBlocksAtAnyResidueWithinAnySpan) {
  heap_resource memory(&upstream);
  struct placed {
    std::size_t bytes, align;
    std::ptrdiff_t offset;
    std::size_t span;
  };
  std::vector<std::pair<void*, std::size_t>> blocks;
  for (const placed& w : {placed{100, 3, 1, 0}, placed{100, 12, -5, 4096}, placed{1000, 4096, -16, 0},
                          placed{60, 64, 4, 64}, placed{0, 7, 20, 3}, placed{10, 0, 99, 13}}) {
    void* const p = memory.allocate_aligned(w.bytes, w.align, w.offset, w.span);
    std::memset(p, 0x77, w.bytes);
    const auto at = reinterpret_cast<std::uintptr_t>(p);
    if (w.align != 0) {
      const auto align = static_cast<std::ptrdiff_t>(w.align);
      const auto residue = static_cast<std::uintptr_t>(((w.offset % align) + align) % align);
      EXPECT_EQ(at % w.align, residue);
    }
    if (w.span != 0 && w.bytes != 0) EXPECT_EQ(at / w.span, (at + w.bytes - 1) / w.span);
    EXPECT_TRUE(memory.holds(p));
    blocks.emplace_back(p, w.bytes);
    expect_sums(memory);
  }
  for (const auto& [p, bytes] : blocks) memory.deallocate(p, bytes);
  EXPECT_EQ(memory.stats().live_blocks, 0U);
  try {
    (void)memory.allocate_aligned(65, 0, 0, 64);
    ADD_FAILURE() << "no address would do";
  } catch (const allocation_error& error) {
    EXPECT_NE(std::string(error.what()).find("no address has that residue"), std::string::npos) << error.what();
  }
  EXPECT_THROW((void)memory.allocate_aligned(10, 64, 60, 64), allocation_error);
  EXPECT_THROW((void)memory.allocate_aligned(SIZE_MAX - 8, 64, -1, 0), allocation_error);
  expect_sums(memory);
}

TEST_F(HeapRequest, ReallocatesInEveryDirection) {
  if (mem::inspected()) GTEST_SKIP() << blocks_wait;
  heap_resource memory(&upstream);
  auto* below = static_cast<std::byte*>(memory.allocate(1000));
  auto* p = static_cast<std::byte*>(memory.allocate(1000));
  auto* above = static_cast<std::byte*>(memory.allocate(1000));
  void* const last = memory.allocate(16);
  const auto holds = [&](std::byte v, std::size_t n) {
    return std::all_of(p, p + n, [&](std::byte b) { return b == v; });
  };
  std::memset(p, 1, 1000);
  EXPECT_EQ(memory.reallocate(p, 1000, 500), p) << "it fits";
  EXPECT_EQ(memory.reallocate(p, 500, 1000), p) << "into what it gave back";
  EXPECT_TRUE(holds(std::byte{1}, 500));
  memory.deallocate(above, 1000);
  (void)memory.trim();
  EXPECT_EQ(memory.reallocate(p, 1000, 1800), p) << "into what is free above";
  EXPECT_TRUE(holds(std::byte{1}, 500));
  std::memset(p, 3, 1800);
  memory.deallocate(below, 1000);
  (void)memory.trim();
  EXPECT_EQ(memory.reallocate(p, 1800, 2600), below) << "into what is free below";
  p = below;
  EXPECT_TRUE(holds(std::byte{3}, 1800));
  void* const moved = memory.reallocate(p, 2600, 20'000);
  EXPECT_NE(moved, p) << "a new block";
  p = static_cast<std::byte*>(moved);
  EXPECT_TRUE(holds(std::byte{3}, 1800));
  EXPECT_EQ(memory.stats().live, 20'016U);
  expect_sums(memory);
  memory.deallocate(p, 20'000);
  memory.deallocate(last, 16);
  void* const fresh = memory.reallocate(nullptr, 0, 10);
  EXPECT_EQ(memory.stats().live_blocks, 1U);
  memory.deallocate(fresh, 10);
}

TEST_F(HeapRequest, LeavesTheBlockAsItWasWhenReallocationFails) {
  test::failing_resource failing(&upstream);
  heap_resource memory(static_cast<std::pmr::memory_resource*>(&failing));
  auto* const p = static_cast<std::byte*>(memory.allocate(1000));
  std::memset(p, 9, 1000);
  failing.from(1);
  const statistics before = memory.stats();
  EXPECT_THROW((void)memory.reallocate(p, 1000, 10 * mib), std::bad_alloc);
  EXPECT_EQ(memory.stats().live, before.live);
  EXPECT_EQ(memory.stats().failures, before.failures + 1);
  EXPECT_TRUE(std::all_of(p, p + 1000, [](std::byte b) { return b == std::byte{9}; }));
  expect_sums(memory);
  memory.deallocate(p, 1000);
}

}  // namespace
}  // namespace strata::pmr
