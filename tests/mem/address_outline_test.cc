// SPDX-License-Identifier: Apache-2.0
// Claims: what is in is never denied, while others come and go and threads ask; what shares no hash with anything is
// denied; counts come down again to what they were.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>

import strata.mem;

namespace strata::mem {
namespace {

TEST(AddressOutline, DeniesWhatSharesNoHash) {
  const auto outline = std::make_unique<address_outline>();
  const std::uintptr_t in = 0x7F00'0000'1000;
  EXPECT_FALSE(outline->may_hold(in));
  outline->add(in);
  EXPECT_TRUE(outline->may_hold(in));
  std::size_t denied = 0;
  for (std::uintptr_t other = in + 16; other != in + 16 * 1001; other += 16) {
    const bool same = address_outline::hash(other) == address_outline::hash(in);
    EXPECT_EQ(outline->may_hold(other), same);
    denied += same ? 0 : 1;
  }
  EXPECT_GT(denied, 900U);
  outline->remove(in);
  EXPECT_FALSE(outline->may_hold(in));
}

TEST(AddressOutline, CountsThoseOfOneHash) {
  const auto outline = std::make_unique<address_outline>();
  const std::uintptr_t one = 4096;
  std::uintptr_t other = one + 4096;
  while (address_outline::hash(other) != address_outline::hash(one)) other += 4096;
  outline->add(one);
  outline->add(other);
  address_outline::counts expected{};
  expected[address_outline::hash(one)] = 2;
  EXPECT_TRUE(outline->is(expected));
  outline->remove(one);
  EXPECT_TRUE(outline->may_hold(other));
  EXPECT_FALSE(outline->is(expected));
  outline->remove(other);
  EXPECT_FALSE(outline->may_hold(other));
  EXPECT_TRUE(outline->is({}));
  outline->add(one);
  outline->clear();
  EXPECT_TRUE(outline->is({}));
}

TEST(AddressOutline, NeverDeniesWhatIsInWhileOthersComeAndGo) {
  const auto outline = std::make_unique<address_outline>();
  const std::uintptr_t mine = 0x1000;
  outline->add(mine);
  std::atomic<bool> done{false};
  std::thread changing([&] {
    for (int round = 0; round < 20; ++round) {
      for (std::uintptr_t other = 0x2000; other != 0x200'2000; other += 0x1000) outline->add(other);
      for (std::uintptr_t other = 0x2000; other != 0x200'2000; other += 0x1000) outline->remove(other);
    }
    done = true;
  });
  bool held = true;
  while (!done) held = held && outline->may_hold(mine);
  changing.join();
  EXPECT_TRUE(held);
}

}  // namespace
}  // namespace strata::mem
