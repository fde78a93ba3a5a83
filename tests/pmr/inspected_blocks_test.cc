// SPDX-License-Identifier: Apache-2.0
// Claims, of every keeper alone while an inspector runs the process: a touch of what is not handed out ends the program; what comes back wrongly is
// told, each misuse by a sentence of its own, another keeper's block with both names, and changes nothing; blocks that went wait before they are used
// again, and are counted as kept meanwhile; rather than a request fails, none waits; a request that fails leaves nothing
// known; what goes back upstream may be used there. Where nobody inspects there is nothing to claim.
#include <gtest/gtest.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <memory_resource>
#include <new>
#include <string>
#include <vector>

#include "tests/os_script/os_script.h"
#include "tests/support/failing_resource.h"
#include "tests/support/sanitizer.h"

import strata.mem;
import strata.pmr;

namespace strata::pmr {
namespace {

struct told {
  std::string layer;
  std::string sentence;
  std::string detail;
};
std::vector<told> all_told;

void collect(const misuse& what) {
  all_told.push_back({what.layer, what.sentence, what.detail == nullptr ? "" : what.detail});
}

// A keeper over memory of malloc's, and another of its kind.
template <class Keeper, class Options>
struct two {
  std::pmr::memory_resource* below = std::pmr::new_delete_resource();
  Keeper one{below, named("one")};
  Keeper other{below, named("other")};

  static Options named(const char* name) {
    Options o;
    o.name = name;
    if constexpr (requires { o.region_bytes; }) o.region_bytes = std::size_t{4} << 20;
    return o;
  }
};

template <class Pair>
class InspectedBlocks : public testing::Test {
 protected:
  void SetUp() override {
    if (!mem::inspected()) GTEST_SKIP() << "nobody inspects this process";
    all_told.clear();
    before_ = set_misuse_handler(&collect);
  }
  void TearDown() override {
    if (mem::inspected()) set_misuse_handler(before_);
  }
  void expect_told(const char* sentence, const char* detail = "") {
    ASSERT_EQ(all_told.size(), 1U);
    EXPECT_EQ(all_told[0].layer, "one");
    EXPECT_EQ(all_told[0].sentence, sentence);
    EXPECT_EQ(all_told[0].detail, detail);
    all_told.clear();
  }

  Pair keepers_;
  std::pmr::memory_resource& one_ = keepers_.one;
  misuse_handler before_ = nullptr;
};

using kinds = testing::Types<
    two<slab_resource<>, slabs>, two<slab_resource<std::pmr::memory_resource, threads::one>, unsynchronized_slabs>,
    two<heap_resource<>, heap>, two<heap_resource<std::pmr::memory_resource, threads::any>, shared_heap>>;
TYPED_TEST_SUITE(InspectedBlocks, kinds);

constexpr std::size_t sizes[] = {1, 7, 8, 16, 24, 100, 1000, 5000, 70'000, 300'000};

// Programs end there under AddressSanitizer; memcheck tells and goes on.
#define EXPECT_TOUCH_IS_TOLD(statement) \
  if (test::under_asan) EXPECT_DEATH(statement, "use-after-poison")

TYPED_TEST(InspectedBlocks, AWholeBlockMayBeUsedAndNoByteBesideIt) {
  for (const std::size_t bytes : sizes) {
    for (const std::size_t alignment : {1U, 8U, 16U, 64U, 4096U}) {
      auto* const p = static_cast<char*>(this->one_.allocate(bytes, alignment));
      for (std::size_t i = 0; i < bytes; ++i) p[i] = 'a';
      EXPECT_TRUE(mem::is_shown(p, bytes)) << bytes;
      EXPECT_TRUE(mem::is_hidden(p - 8, 8)) << bytes;
      EXPECT_TRUE(mem::is_hidden(p + bytes, 8)) << bytes;
      this->one_.deallocate(p, bytes, alignment);
      EXPECT_TRUE(mem::is_hidden(p, bytes)) << bytes;
    }
  }
  EXPECT_TRUE(all_told.empty());
}

TYPED_TEST(InspectedBlocks, AByteBehindABlockIsNobodys) {
  auto* const p = static_cast<volatile char*>(this->one_.allocate(30, 8));
  EXPECT_TOUCH_IS_TOLD(p[30] = 1);
  this->one_.deallocate(const_cast<char*>(p), 30, 8);
}

TYPED_TEST(InspectedBlocks, ABlockThatWentIsNobodys) {
  auto* const p = static_cast<volatile char*>(this->one_.allocate(2000, 8));
  this->one_.deallocate(const_cast<char*>(p), 2000, 8);
  EXPECT_TOUCH_IS_TOLD((void)p[1999]);
}

TYPED_TEST(InspectedBlocks, ABlockOfNoBytesHasNone) {
  auto* const p = static_cast<volatile char*>(this->one_.allocate(0, 1));
  EXPECT_TRUE(mem::is_hidden(const_cast<char*>(p), 1));
  this->one_.deallocate(const_cast<char*>(p), 0, 1);
  EXPECT_TRUE(all_told.empty());
}

TYPED_TEST(InspectedBlocks, WhatComesBackWronglyIsToldAndChangesNothing) {
  void* const p = this->one_.allocate(100, 8);
  auto* const inner = static_cast<char*>(p) + 16;
  this->one_.deallocate(p, 99, 8);
  this->expect_told("a block comes back with another size than it was allocated with");
  this->one_.deallocate(p, 100, 16);
  this->expect_told("a block comes back with another alignment than it was allocated with");
  this->one_.deallocate(inner, 84, 8);
  this->expect_told("a pointer comes back that lies inside a block and is not its start");
  int local = 0;
  this->one_.deallocate(&local, sizeof(local), alignof(int));
  this->expect_told("a pointer comes back that is of no block");
  EXPECT_TRUE(mem::is_shown(p, 100));
  EXPECT_EQ(this->keepers_.one.stats().live, 100U);
  this->one_.deallocate(p, 100, 8);
  EXPECT_TRUE(all_told.empty());
  EXPECT_EQ(this->keepers_.one.stats().live, 0U);
}

TYPED_TEST(InspectedBlocks, ASecondDeallocationIsToldAtOnceAndLater) {
  for (const std::size_t bytes : {100UL, 100'000UL}) {
    void* const p = this->one_.allocate(bytes, 8);
    this->one_.deallocate(p, bytes, 8);
    this->one_.deallocate(p, bytes, 8);
    this->expect_told("a block comes back that was deallocated before");
    this->keepers_.one.trim();
    this->one_.deallocate(p, bytes, 8);
    this->expect_told("a block comes back that was deallocated before");
  }
}

TYPED_TEST(InspectedBlocks, AnotherKeepersBlockIsToldWithItsName) {
  void* const p = this->keepers_.other.allocate(100, 8);
  this->one_.deallocate(p, 100, 8);
  this->expect_told("a block comes back that is of another memory", "other");
  this->one_.deallocate(static_cast<char*>(p) + 8, 92, 8);
  this->expect_told("a block comes back that is of another memory", "other");
  this->keepers_.other.deallocate(p, 100, 8);
  EXPECT_TRUE(all_told.empty());
}

TYPED_TEST(InspectedBlocks, AfterReleaseNoBlockIsKnown) {
  void* const p = this->one_.allocate(100, 8);
  this->keepers_.one.release();
  this->one_.deallocate(p, 100, 8);
  this->expect_told("a block comes back that was deallocated before");
  EXPECT_EQ(this->keepers_.one.stats().upstream, 0U);
}

TYPED_TEST(InspectedBlocks, WhatWentFirstIsUsedAgainFirstAndNotSoon) {
  void* const p = this->one_.allocate(100, 8);
  this->one_.deallocate(p, 100, 8);
  std::vector<void*> later;
  for (int i = 0; i < 100; ++i) {
    later.push_back(this->one_.allocate(100, 8));
    EXPECT_NE(later.back(), p);
    this->one_.deallocate(later.back(), 100, 8);
  }
  bool came = false;
  for (int i = 0; i < 20'000 && !came; ++i) {
    void* const q = this->one_.allocate(100, 8);
    came = q == p;
    this->one_.deallocate(q, 100, 8);
  }
  EXPECT_TRUE(came);
}

TYPED_TEST(InspectedBlocks, FiguresAddUpAndWhatWaitsIsKept) {
  const auto figures = [this] { return this->keepers_.one.stats(); };
  const auto adds_up = [](const statistics& f) { return f.upstream == f.live + f.kept + f.overhead; };
  void* const p = this->one_.allocate(100, 8);
  void* const q = this->one_.allocate(200'000, 8);
  EXPECT_EQ(figures().live, 200'100U);
  EXPECT_EQ(figures().live_blocks, 2U);
  EXPECT_TRUE(adds_up(figures()));
  this->one_.deallocate(q, 200'000, 8);
  EXPECT_EQ(figures().live, 100U);
  EXPECT_EQ(figures().peak, 200'100U);
  EXPECT_GE(figures().kept, 200'000U);
  EXPECT_TRUE(adds_up(figures()));
  this->one_.deallocate(p, 100, 8);
  this->keepers_.one.trim();
  EXPECT_EQ(figures().live, 0U);
  EXPECT_EQ(figures().allocations, 2U);
  EXPECT_TRUE(adds_up(figures()));
  EXPECT_FALSE(this->keepers_.one.check().found());
}

TYPED_TEST(InspectedBlocks, RatherThanARequestFailsNoBlockWaits) {
  test::failing_resource upstream(std::pmr::new_delete_resource());
  decltype(this->keepers_.one) keeper(&upstream, this->keepers_.named("one"));
  void* const p = keeper.allocate(100'000, 8);
  upstream.from(1);
  keeper.deallocate(p, 100'000, 8);
  void* const q = keeper.allocate(100'000, 8);
  EXPECT_EQ(keeper.stats().live_blocks, 1U);
  EXPECT_EQ(keeper.stats().failures, 0U);
  keeper.deallocate(q, 100'000, 8);
  EXPECT_TRUE(all_told.empty());
}

TYPED_TEST(InspectedBlocks, ARequestThatFailsLeavesNothingKnown) {
  test::failing_resource upstream(std::pmr::new_delete_resource());
  decltype(this->keepers_.one) keeper(&upstream, this->keepers_.named("one"));
  upstream.from(1);
  for (int i = 0; i < 3; ++i) EXPECT_THROW((void)keeper.allocate(100'000, 8), std::bad_alloc);
  EXPECT_EQ(keeper.stats().live, 0U);
  EXPECT_EQ(keeper.stats().live_blocks, 0U);
  EXPECT_EQ(keeper.stats().kept, keeper.stats().upstream);
  EXPECT_EQ(keeper.stats().failures, 3U);
  upstream.never();
  keeper.deallocate(keeper.allocate(100'000, 8), 100'000, 8);
  EXPECT_FALSE(keeper.check().found());
}

TYPED_TEST(InspectedBlocks, WithoutMemoryForWhatIsToBeKnownARequestFails) {
  std::vector<void*> blocks(100'000);
  std::size_t count = 0;
  std::string why;
  {
    test::os_script script;
    script.fail_always(test::os_call::mmap, ENOMEM);
    try {
      for (; count < blocks.size(); ++count) blocks[count] = this->one_.allocate(64, 8);
    } catch (const std::bad_alloc& wrong) {
      why = wrong.what();
    }
  }
  EXPECT_NE(why.find("no memory for what is to be known of the block"), std::string::npos) << why;
  EXPECT_EQ(this->keepers_.one.stats().live_blocks, count);
  EXPECT_EQ(this->keepers_.one.stats().failures, 1U);
  blocks[count++] = this->one_.allocate(64, 8);
  while (count != 0) this->one_.deallocate(blocks[--count], 64, 8);
  EXPECT_EQ(this->keepers_.one.stats().live, 0U);
  EXPECT_TRUE(all_told.empty());
}

TYPED_TEST(InspectedBlocks, WithoutMemoryForItsBookAKeeperServesNothing) {
  void* const theirs = this->keepers_.other.allocate(64, 8);
  test::os_script script;
  script.fail_always(test::os_call::mmap, ENOMEM);
  decltype(this->keepers_.one) keeper(this->keepers_.below, this->keepers_.named("one"));
  std::pmr::memory_resource& memory = keeper;
  EXPECT_THROW((void)memory.allocate(64, 8), std::bad_alloc);
  memory.deallocate(theirs, 64, 8);
  this->expect_told("a block comes back that is of another memory", "other");
  alignas(16) std::array<std::uint64_t, 4> nobodys{};
  nobodys.fill(~std::uint64_t{0});  // a heap that took what lies before the pointer for its own filler would go astray
  memory.deallocate(&nobodys[3], sizeof(nobodys[3]), alignof(std::uint64_t));
  this->expect_told("a pointer comes back that is of no block");
  EXPECT_EQ(keeper.stats().live_blocks, 0U);
  EXPECT_FALSE(keeper.check().found());
  this->keepers_.other.deallocate(theirs, 64, 8);
}

TYPED_TEST(InspectedBlocks, WhatGoesBackUpstreamMayBeUsedThere) {
  alignas(64) static std::byte memory[8 << 20];
  std::pmr::monotonic_buffer_resource upstream(memory, sizeof(memory), std::pmr::null_memory_resource());
  {
    decltype(this->keepers_.one) keeper(&upstream, this->keepers_.named("third"));
    for (const std::size_t bytes : {1UL, 500UL, 100'000UL}) {
      (void)keeper.allocate(bytes, 8);
      keeper.deallocate(keeper.allocate(bytes, 8), bytes, 8);
    }
    EXPECT_FALSE(mem::is_shown(memory, sizeof(memory)));
  }
  EXPECT_TRUE(mem::is_shown(memory, sizeof(memory)));
}

}  // namespace
}  // namespace strata::pmr
