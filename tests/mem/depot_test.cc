// SPDX-License-Identifier: Apache-2.0
// Claims: what was put last is taken first, in the order it was put (random model); nothing is lost between pieces; an
// empty piece is kept for the next batch and more can be had back.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <random>
#include <vector>

import strata.mem;

namespace strata::mem {
namespace {

struct Depot : testing::Test {
  struct alignas(16) piece {
    std::byte bytes[depot::piece_bytes];
  };
  std::deque<piece> memory;
  depot d;

  void put(void* const* slots, std::size_t count) {
    if (d.wants_piece(count)) d.add(&memory.emplace_back());
    ASSERT_FALSE(d.wants_piece(count));
    d.put(slots, count);
  }
  static void* slot(std::uintptr_t n) { return reinterpret_cast<void*>(n * 16); }
};

TEST_F(Depot, OfNothingGivesNothing) {
  void* out = nullptr;
  EXPECT_EQ(d.take(&out, 1), 0U);
  EXPECT_TRUE(d.wants_piece(1));
  EXPECT_EQ(d.remove_empty(0), nullptr);
}

TEST_F(Depot, GivesTheNewestInTheOrderTheyCame) {
  const std::uint64_t seed = 20;
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937_64 random(seed);
  std::vector<void*> model;
  std::uintptr_t next = 0;
  for (int step = 0; step < 20'000; ++step) {
    const std::size_t count = 1 + random() % depot::piece_slots;
    if (random() % 2 == 0) {
      std::vector<void*> batch;
      for (std::size_t i = 0; i < count; ++i) batch.push_back(slot(++next));
      put(batch.data(), count);
      model.insert(model.end(), batch.begin(), batch.end());
    } else {
      std::vector<void*> out(count);
      const std::size_t got = d.take(out.data(), count);
      ASSERT_EQ(got, std::min(count, model.size()));
      ASSERT_TRUE(std::equal(model.end() - static_cast<std::ptrdiff_t>(got), model.end(), out.begin()));
      model.resize(model.size() - got);
      while (d.remove_empty(1) != nullptr) {
      }
    }
    ASSERT_EQ(d.count(), model.size());
    ASSERT_TRUE(d.is_consistent());
    ASSERT_LE(d.pieces(), 2 * model.size() / depot::piece_slots + 3) << "two neighbours hold more than one piece would";
  }
}

TEST_F(Depot, KeepsAnEmptyPieceAndGivesUpMore) {
  std::vector<void*> batch;
  for (std::uintptr_t i = 1; i <= depot::piece_slots; ++i) batch.push_back(slot(i));
  for (int i = 0; i < 3; ++i) put(batch.data(), batch.size());
  EXPECT_EQ(d.pieces(), 3U);
  EXPECT_EQ(d.remove_empty(0), nullptr) << "all are full";
  for (int i = 0; i < 3; ++i) EXPECT_EQ(d.take(batch.data(), batch.size()), batch.size());
  EXPECT_NE(d.remove_empty(1), nullptr);
  EXPECT_NE(d.remove_empty(1), nullptr);
  EXPECT_EQ(d.remove_empty(1), nullptr);
  EXPECT_FALSE(d.wants_piece(depot::piece_slots));
  EXPECT_NE(d.remove_empty(0), nullptr);
  EXPECT_EQ(d.pieces(), 0U);
}

}  // namespace
}  // namespace strata::mem
