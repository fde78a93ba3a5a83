// SPDX-License-Identifier: Apache-2.0
// Claims: the published scheme does what it is measured for: blocks come aligned, each on pages of its own, and keep what
// is written while their neighbours on the same memory come and go; a block that was deallocated faults when it is read,
// written or deallocated again; a process can free more blocks than it may have mappings; where a page cannot be mapped
// once more, the upstream has its block back.
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <memory_resource>
#include <set>
#include <string>
#include <vector>

#include "tests/support/recording_resource.h"

import bench;
import strata.pmr;

namespace {

constexpr std::uintptr_t kPage = 4096;

std::size_t mappings() {
  std::ifstream maps("/proc/self/maps");
  std::size_t lines = 0;
  for (std::string line; std::getline(maps, line);) ++lines;
  return lines;
}

struct Published : testing::Test {
  strata::pmr::stack<strata::pmr::segments, strata::pmr::slabs> slabs{
      strata::pmr::segments{.kind = strata::pmr::segment_kind::sealed}, strata::pmr::slabs{}};
  bench::published_scheme memory{&slabs};
};

TEST_F(Published, GivesEachBlockPagesOfItsOwn) {
  struct block {
    unsigned char* at;
    std::size_t bytes;
    std::size_t alignment;
  };
  std::vector<block> blocks;
  std::set<std::uintptr_t> pages;
  for (std::size_t i = 0; i < 300; ++i) {
    const std::size_t alignment = std::size_t{1} << (i % 7);
    const std::size_t bytes = 1 + i * i % 9000;
    auto* const at = static_cast<unsigned char*>(memory.allocate(bytes, alignment));
    const auto address = reinterpret_cast<std::uintptr_t>(at);
    EXPECT_EQ(address % alignment, 0U);
    for (std::uintptr_t page = address / kPage; page <= (address + bytes - 1) / kPage; ++page) {
      EXPECT_TRUE(pages.insert(page).second) << "page " << page << " of two live blocks";
    }
    std::memset(at, static_cast<int>(i), bytes);
    blocks.push_back({at, bytes, alignment});
  }
  for (std::size_t i = 0; i < blocks.size(); i += 2)
    memory.deallocate(blocks[i].at, blocks[i].bytes, blocks[i].alignment);
  for (std::size_t i = 0; i < blocks.size(); i += 2) {
    blocks[i].at = static_cast<unsigned char*>(memory.allocate(blocks[i].bytes, blocks[i].alignment));
    std::memset(blocks[i].at, static_cast<int>(i), blocks[i].bytes);
  }
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    for (std::size_t k = 0; k < blocks[i].bytes; ++k) ASSERT_EQ(blocks[i].at[k], static_cast<unsigned char>(i));
    memory.deallocate(blocks[i].at, blocks[i].bytes, blocks[i].alignment);
  }
}

using PublishedDeathTest = Published;

TEST_F(PublishedDeathTest, FaultsWhenADeadBlockIsUsed) {
  auto* const dead = static_cast<volatile char*>(memory.allocate(100, 8));
  dead[0] = 1;
  memory.deallocate(const_cast<char*>(dead), 100, 8);
  EXPECT_DEATH(static_cast<void>(dead[99]), "");
  EXPECT_DEATH(dead[0] = 2, "");
  EXPECT_DEATH(memory.deallocate(const_cast<char*>(dead), 100, 8), "");
}

TEST_F(Published, FreesMoreBlocksThanThereMayBeMappings) {
  const std::size_t before = mappings();
  for (std::size_t i = 0; i < 70'000; ++i) {
    void* const block = memory.allocate(64, 8);
    *static_cast<volatile char*>(block) = 1;
    memory.deallocate(block, 64, 8);
  }
  EXPECT_LE(mappings(), before + bench::published_scheme::stretch + 100);
}

// Pages that are private cannot be mapped once more.
TEST(PublishedOverPrivatePages, GivesBackWhatItCannotMapOnceMore) {
  strata::test::recording_resource upstream;
  bench::published_scheme memory(&upstream);
  EXPECT_THROW(static_cast<void>(memory.allocate(64, 8)), bench::published_scheme::no_mapping);
  EXPECT_EQ(upstream.live().blocks, 0U);
  EXPECT_EQ(upstream.allocations(), 1U);
}

}  // namespace
