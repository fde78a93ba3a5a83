// SPDX-License-Identifier: Apache-2.0
// Claims: every byte of an arena belongs to one part; free runs are neighbours joined, fragmentation is 1 - largest / all;
// rows are as few bytes as fit; cells add up to the whole, wherever blocks lie; the drawing has a rect for every block
// that can be seen and cells for the others, all bytes told once, and marks the largest free run; its size is bounded.
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <random>
#include <string>
#include <string_view>

import tools;

namespace {

using tools::block_state;
using tools::part;

tools::dumped_arena example() {
  return {0x1000,
          4096,
          {{0x1028, 64, 50, block_state::used},
           {0x1068, 96, 60, block_state::movable},
           {0x10c8, 32, 0, block_state::kept},
           {0x10e8, 100, 0, block_state::free},
           {0x114c, 40, 32, block_state::used},
           {0x1174, 80, 0, block_state::free}}};
}

/// An arena full of blocks, 32 bytes of its own in front and 8 or more behind.
tools::dumped_arena random_arena(unsigned seed, std::size_t blocks, std::uint64_t most) {
  std::mt19937 random(seed);
  const auto below = [&](std::uint64_t n) { return std::uniform_int_distribution<std::uint64_t>(0, n - 1)(random); };
  tools::dumped_arena arena{0x7f0000001000, 0, {}};
  std::uint64_t at = arena.start + 32;
  for (std::size_t i = 0; i < blocks; ++i) {
    const std::uint64_t bytes = 32 + 16 * below(most / 16);
    const auto state = static_cast<block_state>(below(5));
    const bool out = state == block_state::used || state == block_state::movable;
    arena.blocks.push_back({at + 8, bytes, out ? below(bytes - 24) : 0, state});
    at += bytes;
  }
  arena.bytes = at + 8 + below(200) - arena.start;
  return arena;
}

std::size_t count(std::string_view text, std::string_view what) {
  std::size_t times = 0;
  for (std::size_t at = text.find(what); at != std::string_view::npos; at = text.find(what, at + 1)) ++times;
  return times;
}

TEST(HeapParts, EveryByteBelongsToOne) {
  const tools::heap_figures figures = tools::figures_of(example());
  EXPECT_EQ(figures.by_part[part::used], 82U);
  EXPECT_EQ(figures.by_part[part::movable], 60U);
  EXPECT_EQ(figures.by_part[part::slack], (64U - 8 - 50) + (96U - 24 - 60));
  EXPECT_EQ(figures.by_part[part::kept], 24U);
  EXPECT_EQ(figures.by_part[part::free], 92U + 72U);
  EXPECT_EQ(figures.by_part[part::overhead], 6 * 8U + 16 + (4096 - 64 - 96 - 32 - 100 - 40 - 80));
  EXPECT_EQ(figures.by_part.total(), 4096U);
  EXPECT_EQ(figures.all_blocks(), 6U);
}

TEST(HeapParts, FreeNeighboursAreOneRun) {
  const tools::heap_figures figures = tools::figures_of(example());
  EXPECT_EQ(figures.largest.begin, 0x10c0U);
  EXPECT_EQ(figures.largest.bytes, 132U);
  EXPECT_EQ(figures.largest.blocks, 2U);
  EXPECT_EQ(figures.free_runs, 2U);
  EXPECT_EQ(figures.free_bytes, 212U);
  EXPECT_DOUBLE_EQ(figures.fragmentation(), 1 - 132.0 / 212.0);
  EXPECT_EQ(tools::figures_of(tools::dumped_arena{0x1000, 4096, {}}).fragmentation(), 0);
}

TEST(HeapParts, RowsAreAsFewBytesAsFit) {
  const tools::heap_dump dump{"h", {{0x10000, 8000, {}}, {0x20000, 100, {}}, {0x30000, 1025, {}}}, {}};
  EXPECT_EQ(tools::row_bytes(dump, 100, 256), 256U);  // 32 + 1 + 5
  EXPECT_EQ(tools::row_bytes(dump, 38, 256), 256U);
  EXPECT_EQ(tools::row_bytes(dump, 37, 256), 512U);
  EXPECT_EQ(tools::row_bytes(dump, 3, 256), 8192U);
  EXPECT_EQ(tools::row_bytes(dump, 1, 256), 8192U) << "each arena has a row";
}

TEST(HeapParts, CellsAddUp) {
  for (unsigned seed = 1; seed <= 20; ++seed) {
    const tools::dumped_arena arena = random_arena(seed, 200, 2000);
    for (const std::uint64_t cell : {16U, 37U, 4096U, 1U << 20}) {
      tools::mix sum;
      for (const tools::mix& m : tools::cells_of(arena, cell)) {
        EXPECT_LE(m.total(), cell);
        sum += m;
      }
      EXPECT_EQ(sum.bytes, tools::figures_of(arena).by_part.bytes) << "seed " << seed << ", cells of " << cell;
    }
  }
}

TEST(HeapDrawing, HasARectForEveryBlockThatCanBeSeen) {
  const std::string text = tools::draw(example(), 1, {0x10c0, 132, 2}, {.row = 1024});
  EXPECT_EQ(count(text, "<rect "), 6U + 1 + 4) << "blocks, what is in front of them, what is behind in four rows\n"
                                               << text;
  EXPECT_EQ(count(text, "data-b=\"1028 64 50 used\""), 1U);
  EXPECT_EQ(count(text, "data-b=\"1068 96 60 movable\""), 1U);
  EXPECT_EQ(count(text, " 0 arena\""), 5U);
  EXPECT_EQ(count(text, "data-m="), 0U);
  EXPECT_EQ(count(text, "class=\"largest\""), 1U);
  EXPECT_EQ(count(text, "<title id="), 1U);
  EXPECT_EQ(count(text, "<desc id="), 1U);
}

TEST(HeapDrawing, MarksTheLargestRunWhereItIs) {
  EXPECT_EQ(count(tools::draw(example(), 1, {0x9000, 132, 2}, {.row = 1024}), "largest"), 0U);
  EXPECT_EQ(count(tools::draw(example(), 1, {}, {.row = 1024}), "largest"), 0U);
  const std::string two_rows = tools::draw(example(), 1, {0x13f0, 64, 1}, {.row = 1024});
  EXPECT_EQ(count(two_rows.substr(two_rows.find("largest")), "Z"), 2U) << "its ends do not touch: two outlines";
  const std::string steps = tools::draw(example(), 1, {0x1100, 2000, 1}, {.row = 1024});
  EXPECT_EQ(count(steps.substr(steps.find("largest")), "Z"), 1U);
}

TEST(HeapDrawing, TellsEveryByteOfCellsOnce) {
  for (unsigned seed = 1; seed <= 20; ++seed) {
    const tools::dumped_arena arena = random_arena(seed, 2000, 300);
    const std::string text = tools::draw(arena, 1, {}, {.row = std::uint64_t{1} << 20});
    // Where no block can be seen, the cells hold all bytes and all blocks.
    ASSERT_EQ(count(text, "data-b="), 0U);
    std::uint64_t bytes = 0, blocks = 0;
    tools::mix sum;
    for (std::size_t at = text.find("data-m=\""); at != std::string::npos; at = text.find("data-m=\"", at + 1)) {
      tools::words fields(std::string_view(text).substr(at + 8, text.find('"', at + 8) - at - 8));
      fields.next();
      bytes += *tools::number(fields.next());
      blocks += *tools::number(fields.next());
      while (!fields.rest().empty()) {
        const std::string_view name = fields.next();
        for (std::size_t p = 0; p < tools::parts; ++p) {
          if (name == tools::name_of(static_cast<part>(p))) {
            sum.add(static_cast<part>(p), *tools::number(fields.next()));
            break;
          }
        }
      }
    }
    EXPECT_EQ(bytes, arena.bytes) << "seed " << seed;
    EXPECT_EQ(blocks, arena.blocks.size()) << "seed " << seed;
    EXPECT_EQ(sum.bytes, tools::figures_of(arena).by_part.bytes) << "seed " << seed;
  }
}

TEST(HeapDrawing, IsBoundedWhateverTheHeap) {
  const tools::dumped_arena arena = random_arena(1, 300'000, 600);
  const tools::heap_dump dump{"h", {arena}, {}};
  const std::string text = tools::draw(arena, 1, {}, {.row = tools::row_bytes(dump, 100, 1024)});
  EXPECT_LT(count(text, "<rect "), 100U * 1120 * 10 / 24 + 1);
  EXPECT_LT(text.size(), std::size_t{12} << 20);
}

}  // namespace
