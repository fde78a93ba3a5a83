// SPDX-License-Identifier: Apache-2.0
// Claims: it never says "no" of what is in, whatever comes and goes; of what is not in it hardly ever says "maybe", at any
// size; it grows as it fills, and is crowded but right when the OS has no memory; another thread that has an address finds
// it while others are changed; it can be made to let all through.
#include <gtest/gtest.h>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <random>
#include <thread>
#include <unordered_set>
#include <vector>

#include "tests/os_script/os_script.h"

import strata.mem;

namespace strata::mem {
namespace {

using test::os_call;
using test::os_script;

/// A sieve and the set it is of.
struct sieved {
  std::unique_ptr<address_sieve> sieve = std::make_unique<address_sieve>();
  std::unordered_set<std::uintptr_t> in;

  bool grow() {
    return sieve->grow([this](auto&& enter) {
      for (const std::uintptr_t each : in) enter(each);
    });
  }
  void add(std::uintptr_t address) {
    if (sieve->is_crowded()) grow();
    sieve->add(address);
    in.insert(address);
  }
  void remove(std::uintptr_t address) {
    sieve->remove(address);
    in.erase(address);
  }
  bool is_right() const {
    return sieve->holds_just(in.size(), [this](auto&& visit) {
      for (const std::uintptr_t each : in) visit(each);
    });
  }
};

std::uintptr_t block(std::size_t i) { return 0x7000'0000'0000U + i * 48; }

TEST(AddressSieve, NeverMissesWhatIsIn) {
  constexpr unsigned seed = 11;
  std::mt19937 random(seed);
  sieved all;
  for (int step = 0; step < 200'000; ++step) {
    const std::uintptr_t address = block(random() % 4096);
    all.in.contains(address) ? all.remove(address) : all.add(address);
    if (step % 20'000 == 0) ASSERT_TRUE(all.is_right()) << "seed " << seed << ", step " << step;
  }
  ASSERT_TRUE(all.is_right()) << "seed " << seed;
  EXPECT_EQ(all.sieve->size(), all.in.size());
  while (!all.in.empty()) all.remove(*all.in.begin());
  for (std::size_t i = 0; i < 4096; ++i) ASSERT_FALSE(all.sieve->may_hold(block(i))) << i;
}

// As samples are: a few of many blocks that lie in rows.
TEST(AddressSieve, HardlyEverTakesAStrangerForOneOfItsOwn) {
  constexpr unsigned seed = 5;
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  for (const std::size_t size : {1U, 10U, 100U, 1000U, 30'000U}) {
    sieved all;
    while (all.in.size() < size) {
      const std::uintptr_t address = block(random() % 10'000'000);
      if (!all.in.contains(address)) all.add(address);
    }
    constexpr std::size_t asked = 200'000;
    std::size_t maybe = 0;
    for (std::size_t i = 0; i < asked; ++i) maybe += all.sieve->may_hold(block(10'000'000 + 7 * i)) ? 1 : 0;
    // A quarter full at most: of strangers, those whose place has two or more, 1 - 1.25 exp(-1/4) of them, when there
    // are many; of few, one such place of 64.
    EXPECT_LE(static_cast<double>(maybe), 0.05 * asked) << size;
  }
}

TEST(AddressSieve, IsRightWhenTheOsHasNoMemory) {
  sieved all;
  os_script script;
  script.fail_always(os_call::mmap, ENOMEM);
  for (std::size_t i = 0; i < 5000; ++i) all.add(block(i));
  EXPECT_EQ(all.sieve->bytes(), 0U);
  EXPECT_TRUE(all.is_right());
  for (std::size_t i = 0; i < 5000; i += 2) all.remove(block(i));
  EXPECT_TRUE(all.is_right());
}

TEST(AddressSieve, IsSeenByWhoeverHasTheAddress) {
  constexpr std::size_t rounds = 4000;
  sieved all;
  // Handed over as a block is: what was added before is seen after.
  std::atomic<std::uintptr_t> handed{0};
  std::atomic<std::size_t> missed{0};
  std::thread other([&] {
    for (std::size_t i = 0; i < rounds; ++i) {
      std::uintptr_t address = 0;
      while ((address = handed.load(std::memory_order_acquire)) == 0) std::this_thread::yield();
      missed += all.sieve->may_hold(address) ? 0 : 1;
      handed.store(0, std::memory_order_release);
    }
  });
  for (std::size_t i = 0; i < rounds; ++i) {
    all.add(block(i));
    handed.store(block(i), std::memory_order_release);
    // Meanwhile others come and go, and the table grows under the reader.
    if (i >= 2) all.remove(block(i - 2));
    for (std::size_t k = 0; k < 8; ++k) all.add(block(rounds * (k + 1) + i));
    while (handed.load(std::memory_order_acquire) != 0) std::this_thread::yield();
  }
  other.join();
  EXPECT_EQ(missed, 0U);
}

TEST(AddressSieve, LetsAllThroughWhenTold) {
  address_sieve sieve;
  sieve.let_all_through();
  for (std::size_t i = 0; i < 1000; ++i) ASSERT_TRUE(sieve.may_hold(block(i)));
  sieve.add(block(1));
  sieve.remove(block(1));
  EXPECT_TRUE(sieve.may_hold(block(1)));
  EXPECT_FALSE(sieve.is_crowded());
}

}  // namespace
}  // namespace strata::mem
