// SPDX-License-Identifier: Apache-2.0
// Claims: every address in a chunk finds its chunk and no other address does; chunks are not touched; the table asks
// for memory when it is full, and hands it back newest first; readers work while chunks are added.
#include <gtest/gtest.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <random>
#include <thread>
#include <unordered_map>
#include <vector>

import strata.mem;

namespace strata::mem {
namespace {

constexpr std::size_t chunk_bytes = 4096;

/// An address nobody maps: the table must not follow it.
void* chunk_at(std::uintptr_t n) { return reinterpret_cast<void*>((n + 1) * chunk_bytes); }

struct ChunkTable : testing::Test {
  std::vector<std::unique_ptr<std::max_align_t[]>> tables;
  chunk_table table{chunk_bytes};

  std::uint32_t add(void* chunk) {
    if (const std::size_t bytes = table.wanted(); bytes != 0) {
      tables.push_back(std::make_unique<std::max_align_t[]>(bytes / sizeof(std::max_align_t) + 1));
      table.grow(tables.back().get(), bytes);
    }
    return table.add(chunk);
  }
};

TEST_F(ChunkTable, FindsNothingWhenEmpty) {
  EXPECT_EQ(table.find(nullptr), chunk_table::none);
  EXPECT_EQ(table.find(&table), chunk_table::none);
  EXPECT_EQ(table.wanted(), 0U);
}

TEST_F(ChunkTable, FindsWhatAModelFinds) {
  constexpr unsigned seed = 1;
  RecordProperty("seed", seed);
  std::mt19937_64 random(seed);
  std::unordered_map<std::uintptr_t, std::uint32_t> model;
  while (model.size() < 5'000) {
    // Neighbours, which are usual, and addresses from anywhere.
    const std::uintptr_t n = random() % 2 == 0 ? 1'000'000 + model.size() : random() >> 20;
    if (model.contains(n)) continue;
    const std::uint32_t number = add(chunk_at(n));
    EXPECT_EQ(number, model.size());
    model[n] = number;
  }
  for (const auto& [n, number] : model) {
    EXPECT_EQ(table.chunk(number), chunk_at(n));
    EXPECT_EQ(table.find(chunk_at(n)), number);
    EXPECT_EQ(table.find(static_cast<std::byte*>(chunk_at(n)) + chunk_bytes - 1), number);
    if (!model.contains(n + 1)) {
      EXPECT_EQ(table.find(chunk_at(n + 1)), chunk_table::none);
    }
  }
}

TEST_F(ChunkTable, HandsItsTablesBackNewestFirst) {
  for (std::uintptr_t n = 0; n < 100; ++n) add(chunk_at(n));
  ASSERT_EQ(tables.size(), 4U);  // for 16, 32, 64 and 128
  std::size_t bytes = table.table_bytes();
  for (std::size_t i = tables.size(); i-- > 0;) {
    const auto gone = table.remove_table();
    EXPECT_EQ(gone.memory, tables[i].get());
    bytes -= gone.bytes;
  }
  EXPECT_EQ(table.remove_table().memory, nullptr);
  EXPECT_EQ(bytes, 0U);
}

TEST_F(ChunkTable, IsReadWhileItGrows) {
  constexpr std::uintptr_t chunks = 3'000;
  std::atomic<bool> done{false};
  std::vector<std::thread> readers;
  for (int t = 0; t < 2; ++t) {
    readers.emplace_back([&] {
      while (!done) {
        const std::uint32_t count = table.count();
        for (std::uint32_t n = 0; n < count; n += 1 + count / 16) {
          EXPECT_EQ(table.chunk(n), chunk_at(n));
          EXPECT_EQ(table.find(chunk_at(n)), n);
        }
        EXPECT_EQ(table.find(chunk_at(chunks)), chunk_table::none);
      }
    });
  }
  for (std::uintptr_t n = 0; n < chunks; ++n) add(chunk_at(n));
  done = true;
  for (std::thread& t : readers) t.join();
}

}  // namespace
}  // namespace strata::mem
