// SPDX-License-Identifier: Apache-2.0
// Claims: what was added and not removed is found, and nothing else (random model, through every growth that a test can
// pay for); places of removed spans are used again; one thread asks while another changes the table.
#include <gtest/gtest.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <random>
#include <thread>
#include <unordered_set>
#include <vector>

import strata.mem;

namespace strata::mem {
namespace {

struct SpanTable : testing::Test {
  span_table table;
  std::deque<std::vector<std::uintptr_t>> memory;

  void add(std::uintptr_t base) {
    if (const std::size_t wanted = table.wanted(); wanted != 0) {
      memory.emplace_back(wanted / sizeof(std::uintptr_t));
      table.grow(memory.back().data());
    }
    table.add(base);
  }
};

std::uintptr_t base_of(std::uint64_t n) { return static_cast<std::uintptr_t>(n + 1) * span_bytes; }

TEST_F(SpanTable, HoldsWhatWasAddedAndNotRemoved) {
  const std::uint64_t seed = 99;
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937_64 random(seed);
  std::unordered_set<std::uintptr_t> there;
  for (int step = 0; step < 60'000; ++step) {
    const std::uintptr_t base = base_of(random() % 20'000);
    if (there.contains(base)) {
      table.remove(base);
      there.erase(base);
    } else if (random() % 8 != 0) {
      add(base);
      there.insert(base);
    }
    const std::uintptr_t asked = base_of(random() % 20'000);
    ASSERT_EQ(table.contains(asked), there.contains(asked)) << step;
  }
  EXPECT_GE(memory.size(), 2U) << "grew more than once";
  table.clear();
  for (const std::uintptr_t base : there) ASSERT_FALSE(table.contains(base));
}

TEST_F(SpanTable, UsesPlacesOfRemovedSpansAgain) {
  for (std::uint64_t i = 0; i < 100'000; ++i) {
    add(base_of(i % 7));
    table.remove(base_of(i % 7));
  }
  EXPECT_TRUE(memory.empty());
}

TEST_F(SpanTable, TakesEveryAddressForASpanWhenItCannotHoldThemAll) {
  std::uint64_t n = 0;
  for (; !table.contains(base_of(std::uint64_t{1} << 30)); ++n) add(base_of(n));
  EXPECT_GE(n, std::uint64_t{1} << 16);
}

TEST_F(SpanTable, IsAskedWhileItChanges) {
  add(base_of(0));
  std::atomic<bool> done{false};
  std::atomic<bool> lost{false};
  std::thread reader([&] {
    while (!done) {
      if (!table.contains(base_of(0)) || table.contains(base_of(1'000'000))) lost = true;
    }
  });
  for (std::uint64_t i = 1; i < 20'000; ++i) {
    add(base_of(i));
    if (i % 3 == 0) table.remove(base_of(i));
  }
  done = true;
  reader.join();
  EXPECT_FALSE(lost);
}

}  // namespace
}  // namespace strata::mem
