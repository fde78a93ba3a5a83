// SPDX-License-Identifier: Apache-2.0
// Claims: counts are those of a trivial model, whatever comes and goes, through every growth; a growth that the OS
// refuses changes nothing; nothing is left mapped at the end.
#include <gtest/gtest.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <map>
#include <random>

#include "tests/os_script/os_script.h"

import strata.mem;

namespace strata::mem {
namespace {

TEST(AddressCounts, AreThoseOfAModel) {
  const std::uint64_t seed = 77;
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937_64 random(seed);
  address_counts counts;
  std::map<std::uintptr_t, std::size_t> model;
  for (int step = 0; step < 200'000; ++step) {
    const std::uintptr_t address = (1 + random() % 3000) * 4096;
    EXPECT_EQ(counts.count(address), model.contains(address) ? model[address] : 0U);
    if (random() % 100 < (step / 20'000 % 2 == 0 ? 70U : 30U)) {
      ASSERT_FALSE(counts.prepare(1).failed());
      ASSERT_EQ(counts.add(address), ++model[address]);
    } else if (const auto at = model.find(address); at != model.end()) {
      const std::size_t left = --at->second;
      if (left == 0) model.erase(at);
      ASSERT_EQ(counts.remove(address), left);
    }
    ASSERT_EQ(counts.size(), model.size());
    if (step % 1000 == 0) ASSERT_TRUE(counts.is_sound());
  }
  for (const auto& [address, count] : model) EXPECT_EQ(counts.count(address), count);
  counts.clear();
  EXPECT_EQ(counts.size(), 0U);
  for (const auto& [address, count] : model) EXPECT_EQ(counts.count(address), 0U);
}

TEST(AddressCounts, ARefusedGrowthChangesNothing) {
  test::os_script script;
  {
    address_counts counts;
    script.fail(test::os_call::mmap, 1, ENOMEM);
    EXPECT_EQ(counts.prepare(1).code, ENOMEM);
    EXPECT_EQ(counts.count(4096), 0U);
    ASSERT_FALSE(counts.prepare(2).failed());
    EXPECT_EQ(counts.add(4096), 1U);
    script.fail(test::os_call::mmap, 1, ENOMEM);
    EXPECT_EQ(counts.prepare(100'000).code, ENOMEM);
    EXPECT_EQ(counts.count(4096), 1U);
    EXPECT_EQ(counts.add(4096), 2U);
  }
  EXPECT_EQ(script.mapped_bytes(), 0U);
}

}  // namespace
}  // namespace strata::mem
