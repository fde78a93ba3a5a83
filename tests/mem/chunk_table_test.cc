// SPDX-License-Identifier: Apache-2.0
// Claims: every address in a chunk finds its chunk and no other address does, however many came and went; chunks are
// not touched; a number that became free is used again, with what lay beside it; the table asks for memory when it is
// full, and hands it back newest first; readers work while chunks are added and removed.
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

  std::uint32_t add(void* chunk, void* aside = nullptr) {
    if (const std::size_t bytes = table.wanted(); bytes != 0) {
      tables.push_back(std::make_unique<std::max_align_t[]>(bytes / sizeof(std::max_align_t) + 1));
      brought.push_back(bytes);
      table.grow(tables.back().get());
    }
    return table.add(chunk, aside);
  }
  std::uint32_t number_of(const void* p) const {
    const chunk_table::entry* const e = table.find(p);
    return e == nullptr ? chunk_table::none : e->number.load();
  }
  std::byte* chunk(std::uint32_t number) const { return table.at(number).chunk.load(); }
  std::vector<std::size_t> brought;
};

TEST_F(ChunkTable, FindsNothingWhenEmpty) {
  EXPECT_EQ(table.find(nullptr), nullptr);
  EXPECT_EQ(table.find_easily(nullptr), nullptr);
  EXPECT_EQ(table.find(&table), nullptr);
  EXPECT_EQ(table.wanted(), 0U);
}

TEST_F(ChunkTable, FindsWhatAModelFinds) {
  constexpr unsigned seed = 1;
  RecordProperty("seed", seed);
  std::mt19937_64 random(seed);
  std::unordered_map<std::uintptr_t, std::uint32_t> model;
  std::vector<std::uintptr_t> order;
  std::size_t easy = 0;
  for (int step = 0; step < 20'000; ++step) {
    if (model.size() < 1'000 || random() % 2 == 0) {
      // Neighbours, which are usual, and addresses from anywhere.
      const std::uintptr_t n = random() % 2 == 0 ? 1'000'000 + random() % 4'096 : random() >> 20;
      if (model.contains(n)) continue;
      const std::uint32_t number = add(chunk_at(n));
      EXPECT_LE(number, model.size());
      model[n] = number;
      order.push_back(n);
    } else {
      std::swap(order[random() % order.size()], order.back());
      table.remove(model.at(order.back()));
      model.erase(order.back());
      order.pop_back();
    }
  }
  EXPECT_EQ(table.count(), model.size());
  for (const auto& [n, number] : model) {
    EXPECT_EQ(chunk(number), chunk_at(n));
    EXPECT_EQ(number_of(chunk_at(n)), number);
    EXPECT_EQ(number_of(static_cast<std::byte*>(chunk_at(n)) + chunk_bytes - 1), number);
    if (!model.contains(n + 1)) {
      EXPECT_EQ(number_of(chunk_at(n + 1)), chunk_table::none);
    }
    if (table.find_easily(chunk_at(n)) != nullptr) ++easy;
  }
  EXPECT_GT(easy * 2, model.size());
}

TEST_F(ChunkTable, EndsItsSearchWhenEveryPlaceWasUsed) {
  for (std::uintptr_t n = 0; n < 10'000; ++n) {
    const std::uint32_t number = add(chunk_at(n * 7));
    EXPECT_EQ(number, 0U);
    EXPECT_EQ(number_of(chunk_at(n * 7)), 0U);
    table.remove(number);
    EXPECT_EQ(number_of(chunk_at(n * 7)), chunk_table::none);
  }
  EXPECT_TRUE(tables.empty());
}

TEST_F(ChunkTable, UsesANumberAgainWithWhatLayBesideIt) {
  int beside[3];
  for (std::uintptr_t n = 0; n < 3; ++n) EXPECT_EQ(add(chunk_at(n), &beside[n]), n);
  EXPECT_EQ(table.vacant(), chunk_table::none);
  table.remove(1);
  EXPECT_EQ(table.count(), 2U);
  EXPECT_EQ(table.vacant(), 1U);
  EXPECT_EQ(table.at(1).aside, &beside[1]);
  EXPECT_EQ(add(chunk_at(9)), 1U);
  EXPECT_EQ(table.at(1).aside, &beside[1]);
  EXPECT_EQ(table.find(chunk_at(9))->aside, &beside[1]);
  EXPECT_EQ(table.vacant(), chunk_table::none);
}

TEST_F(ChunkTable, HandsItsTablesBackNewestFirst) {
  for (std::uintptr_t n = 0; n < 100; ++n) add(chunk_at(n));
  ASSERT_EQ(tables.size(), 4U);  // for 16, 32, 64 and 128
  for (std::size_t i = tables.size(); i-- > 0;) {
    const auto gone = table.clear();
    EXPECT_EQ(gone.memory, tables[i].get());
    EXPECT_EQ(gone.bytes, brought[i]);
  }
  EXPECT_EQ(table.clear().memory, nullptr);
  EXPECT_EQ(table.count(), 0U);
  EXPECT_EQ(number_of(chunk_at(1)), chunk_table::none);
  EXPECT_EQ(add(chunk_at(5)), 0U);
}

TEST_F(ChunkTable, IsReadWhileItChanges) {
  constexpr std::uintptr_t chunks = 3'000;
  std::atomic<bool> done{false};
  std::atomic<std::uint32_t> steady{0};
  std::vector<std::thread> readers;
  for (int t = 0; t < 2; ++t) {
    readers.emplace_back([&] {
      while (!done) {
        const std::uint32_t count = steady;
        for (std::uint32_t n = 0; n < count; n += 1 + count / 16) {
          EXPECT_EQ(chunk(2 * n), chunk_at(2 * n));
          EXPECT_EQ(number_of(chunk_at(2 * n)), 2 * n);
        }
        EXPECT_EQ(number_of(chunk_at(5 * chunks)), chunk_table::none);
      }
    });
  }
  // Even ones stay, odd ones come and go elsewhere.
  for (std::uint32_t n = 0; n < chunks; ++n) {
    ASSERT_EQ(add(chunk_at(2 * n)), 2 * n);
    const std::uint32_t odd = add(chunk_at(2 * n + 1));
    table.remove(odd);
    ASSERT_EQ(add(chunk_at(4 * chunks - n)), odd);
    steady = n + 1;
  }
  done = true;
  for (std::thread& t : readers) t.join();
}

}  // namespace
}  // namespace strata::mem
