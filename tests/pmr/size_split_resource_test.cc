// SPDX-License-Identifier: Apache-2.0
// Claims beyond conformance: requests of at most `largest_small` bytes go to the first upstream, zero among them, and
// others to the second, on both ways, unchanged; so do those aligned beyond the option or beyond what the first can;
// an upstream that throws leaves everything as it was and the other one unasked; figures add up and join with those of
// both upstreams; report and check see both; options that cannot be are refused with their value; live blocks at the end
// are misuse where asked for; an upstream that dies first is named; in a stack what is below is the first upstream; a
// whole is thread safe if both are; a child of fork() goes on.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <memory_resource>
#include <new>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

#include "tests/pmr/region.h"
#include "tests/support/failing_resource.h"
#include "tests/support/recording_resource.h"
#include "tests/support/refusal.h"

import strata.pmr;

namespace strata::pmr {
namespace {

using test::failing_resource;
using test::recording_resource;
using test::request;
using any_resource = std::pmr::memory_resource;

using slabs_and_heap = size_split_resource<slab_resource<>, heap_resource<>>;
static_assert(!slabs_and_heap::thread_safe, "the heap is not");
static_assert(slabs_and_heap::max_alignment == heap_resource<>::max_alignment);
static_assert(size_split_resource<slab_resource<>, page_resource>::thread_safe);
static_assert(size_split_resource<page_resource, page_resource>::zeroed);
static_assert(!size_split_resource<page_resource, heap_resource<>>::zeroed);
static_assert(size_split_resource<>::thread_safe, "unknown ones are the program's to know");
static_assert(!slabs_and_heap::can_release);
static_assert(!knows_its_own<size_split_resource<test::region, any_resource>>);

struct SizeSplit : testing::Test {
  recording_resource small;
  recording_resource large;
  failing_resource small_door{&small};
  failing_resource large_door{&large};

  // Asks for a block, gives it back, and says where it came from.
  std::string asked_of(any_resource& memory, std::size_t bytes, std::size_t alignment) {
    small.forget_requests();
    large.forget_requests();
    memory.deallocate(memory.allocate(bytes, alignment), bytes, alignment);
    const request same{bytes, alignment, true};
    EXPECT_EQ(small.request_count() + large.request_count(), 1U);
    EXPECT_EQ(small.live().blocks + large.live().blocks, 0U);
    const recording_resource& asked = small.request_count() == 1 ? small : large;
    EXPECT_EQ(asked.requests()[0], same);
    return &asked == &small ? "small" : "large";
  }
};

TEST_F(SizeSplit, SendsRequestsByTheirSize) {
  size_split_resource memory(&small, size_split{.large = &large, .largest_small = 100});
  for (const std::size_t bytes : {0U, 1U, 99U, 100U}) EXPECT_EQ(asked_of(memory, bytes, 8), "small") << bytes;
  for (const std::size_t bytes : {101U, 102U, 5000U}) EXPECT_EQ(asked_of(memory, bytes, 8), "large") << bytes;
  EXPECT_EQ(asked_of(memory, 100, 4096), "small") << "alignment alone makes nothing large";
  EXPECT_TRUE(memory.is_small(100, 4096));
  EXPECT_FALSE(memory.is_small(101, 1));
}

TEST_F(SizeSplit, SendsRequestsByTheirAlignmentWhereToldTo) {
  size_split_resource memory(&small, size_split{.large = &large, .largest_small = 100, .largest_small_alignment = 64});
  EXPECT_EQ(asked_of(memory, 100, 64), "small");
  EXPECT_EQ(asked_of(memory, 100, 128), "large");
  EXPECT_EQ(asked_of(memory, 0, 128), "large");
  EXPECT_EQ(asked_of(memory, 101, 1), "large");
}

// A layer that states a limit.
template <std::size_t Most>
class limited final : public direct_layer<limited<Most>> {
 public:
  using upstream_type = any_resource;
  static constexpr bool thread_safe = true;
  static constexpr std::size_t max_alignment = Most;
  static constexpr bool zeroed = false;
  static constexpr bool can_release = false;
  explicit limited(any_resource* below) : direct_layer<limited>("limited", below) {}
  [[nodiscard]] statistics stats() const noexcept override { return {}; }

 private:
  friend direct_layer<limited>;
  void* do_allocate(std::size_t bytes, std::size_t alignment) override {
    if (alignment > max_alignment) throw std::bad_alloc();
    return this->upstream()->allocate(bytes, alignment);
  }
  void do_deallocate(void* p, std::size_t bytes, std::size_t alignment) override {
    this->upstream()->deallocate(p, bytes, alignment);
  }
};

TEST_F(SizeSplit, SendsWhatTheFirstCannotAlignToTheSecond) {
  limited<64> first(&small);
  size_split_resource memory(&first, size_split{.large = &large});
  EXPECT_EQ(asked_of(memory, 8, 64), "small");
  EXPECT_EQ(asked_of(memory, 8, 128), "large");
}

TEST_F(SizeSplit, RefusesWhatTheSecondCannotAlignWhateverItsSize) {
  limited<64> second(&large);
  size_split_resource memory(&small, size_split{.large = &second});
  static_assert(decltype(memory)::max_alignment == 64);
  EXPECT_EQ(asked_of(memory, 8, 64), "small");
  EXPECT_THROW((void)memory.allocate(8, 128), std::bad_alloc);
  EXPECT_THROW((void)memory.allocate(8000, 128), std::bad_alloc);
  EXPECT_EQ(memory.stats().failures, 2U);
}

TEST_F(SizeSplit, AnUpstreamThatThrowsChangesNothingAndTheOtherIsNotAsked) {
  struct own_error : std::bad_alloc {};
  small_door.throwing<own_error>();
  large_door.throwing<own_error>();
  size_split_resource memory(&small_door, &large_door);
  void* const p = memory.allocate(10);
  void* const q = memory.allocate(10'000);
  const statistics before = memory.stats();
  small_door.from(1);
  EXPECT_THROW((void)memory.allocate(10), own_error);
  small_door.never();
  large_door.from(1);
  EXPECT_THROW((void)memory.allocate(10'000), own_error);
  EXPECT_EQ(large_door.requests(), 1U) << "of the large request";
  large_door.never();
  EXPECT_EQ(small_door.requests(), 0U);
  const statistics after = memory.stats();
  EXPECT_EQ(after.live, before.live);
  EXPECT_EQ(after.from_second, before.from_second);
  EXPECT_EQ(after.live_blocks, before.live_blocks);
  EXPECT_EQ(after.allocations, before.allocations);
  EXPECT_EQ(after.failures, 2U);
  memory.deallocate(p, 10);
  memory.deallocate(q, 10'000);
}

TEST_F(SizeSplit, SizesThatCannotBeAreTheSecondOnesToRefuse) {
  size_split_resource memory(&small, size_split{.large = &large, .largest_small = 256});
  for (const std::size_t bytes : {SIZE_MAX, SIZE_MAX - 15, SIZE_MAX / 2, SIZE_MAX / 2 + 1}) {
    EXPECT_THROW((void)memory.allocate(bytes, 16), std::bad_alloc);
  }
  EXPECT_EQ(small.request_count(), 0U);
  EXPECT_EQ(large.smallest_request(), SIZE_MAX / 2);
}

TEST(SizeSplitResource, FiguresAddUpAndJoinWithThoseOfBothUpstreams) {
  page_resource pages;
  slab_resource small(&pages, slabs{.name = "small blocks"});
  heap_resource large(&pages, heap{.name = "large blocks"});
  size_split_resource memory(&small, size_split{.large = &large, .name = "both", .largest_small = 1000});
  std::vector<std::size_t> sizes{0, 1, 999, 1000, 1001, 5000, 100'000};
  std::vector<void*> blocks;
  for (const std::size_t bytes : sizes) {
    blocks.push_back(memory.allocate(bytes));
    const statistics s = memory.stats();
    EXPECT_EQ(s.upstream, s.live + s.kept + s.overhead);
    EXPECT_EQ(s.upstream - s.from_second, small.stats().live);
    EXPECT_EQ(s.from_second, large.stats().live);
  }
  EXPECT_EQ(memory.stats().from_second, 106'001U);
  EXPECT_EQ(memory.stats().live_blocks, sizes.size());
  EXPECT_FALSE(memory.check().found());
  report rows;
  memory.collect(rows);
  ASSERT_EQ(rows.rows().size(), 4U);
  EXPECT_STREQ(rows.rows()[0].name, "pages") << "shared by both, and shown once";
  EXPECT_STREQ(rows.rows()[1].name, "small blocks");
  EXPECT_STREQ(rows.rows()[2].name, "large blocks");
  EXPECT_STREQ(rows.rows()[3].name, "both");
  EXPECT_EQ(rows.rows()[0].figures.live, rows.rows()[1].figures.upstream + rows.rows()[2].figures.upstream);
  for (std::size_t i = 0; i < sizes.size(); ++i) memory.deallocate(blocks[i], sizes[i]);
  EXPECT_EQ(memory.stats().live, 0U);
  EXPECT_EQ(memory.stats().from_second, 0U);
  EXPECT_EQ(memory.stats().peak, 108'001U);
}

TEST(SizeSplitResource, TellsItsOwnWhereBothUpstreamsCan) {
  test::region small(std::pmr::new_delete_resource(), 4096);
  test::region large(std::pmr::new_delete_resource(), 8192);
  size_split_resource memory(&small, &large);
  static_assert(knows_its_own<decltype(memory)>);
  void* const p = memory.allocate(10);
  void* const q = memory.allocate(1000);
  EXPECT_TRUE(small.owns(p));
  EXPECT_TRUE(large.owns(q));
  EXPECT_TRUE(memory.owns(p));
  EXPECT_TRUE(memory.owns(q));
  EXPECT_FALSE(memory.owns(&memory));
  memory.deallocate(p, 10);
  memory.deallocate(q, 1000);
}

std::string refusal_of(any_resource* small, const auto& options) {
  return test::refusal_of([&] { const size_split_resource memory(small, options); });
}

TEST_F(SizeSplit, RefusesOptionsThatCannotBe) {
  any_resource* const nobody = nullptr;
  EXPECT_EQ(refusal_of(&small, size_split{.large = nobody, .name = "x"}),
            "strata::pmr::size_split \"x\": large is null; say who serves what is not small");
  EXPECT_EQ(refusal_of(&small, size_split{.large = &large, .name = "x", .largest_small_alignment = 48}),
            "strata::pmr::size_split \"x\": largest_small_alignment is 48; it has to be a power of two, 1 at least");
  EXPECT_EQ(
      refusal_of(&small, size_split{.large = &large, .largest_small_alignment = 0}),
      "strata::pmr::size_split \"size_split\": largest_small_alignment is 0; it has to be a power of two, 1 at least");
  page_resource lender;
  EXPECT_NE(refusal_of(&lender, size_split{.large = nobody}), "");
}  // and lender ends here: what was not made borrows nothing

void end_with_a_live_block() {
  recording_resource below;
  auto memory = std::make_unique<size_split_resource<>>(
      &below, size_split<>{.large = &below, .name = "orders", .live_at_end_is_misuse = true});
  (void)memory->allocate(10);
  memory.reset();
}

TEST(SizeSplitResourceDeathTest, LiveBlocksAtTheEndAreMisuseWhereAskedFor) {
  EXPECT_DEATH(end_with_a_live_block(),
               "strata: orders: destroyed with live blocks: nobody gives them back to their upstream any more");
}

void end_the_second_upstream_first() {
  page_resource small;
  auto large = std::make_unique<page_resource>(pages{.name = "large pages below"});
  const size_split_resource memory(&small, large.get());
  large.reset();
}

TEST(SizeSplitResourceDeathTest, AnUpstreamThatDiesFirstIsNamed) {
  EXPECT_DEATH(end_the_second_upstream_first(),
               "strata: large pages below: destroyed while another layer still borrows it");
}

TEST(SizeSplitResource, InAStackHasWhatIsBelowAsItsFirstUpstream) {
  page_resource large_pages_below(pages{.name = "second"});
  stack memory{pages{.name = "first"}, slabs{}, size_split{.large = &large_pages_below, .largest_small = 1024}};
  static_assert(decltype(memory)::thread_safe);
  static_assert(
      std::is_same_v<decltype(memory)::top_type, size_split_resource<slab_resource<page_resource>, page_resource>>);
  void* const p = memory.allocate(1000);
  void* const q = memory.allocate(10'000);
  EXPECT_EQ(memory.get<1>().stats().live, 1000U);
  EXPECT_EQ(large_pages_below.stats().live, 10'000U);
  const statistics whole = memory.stats();
  EXPECT_EQ(whole.upstream, whole.live + whole.kept + whole.overhead);
  EXPECT_EQ(whole.upstream, memory.get<0>().stats().upstream + 10'000) << "what is rounded below is not the stack's";
  EXPECT_EQ(whole.from_second, 10'000U);
  EXPECT_FALSE(memory.check().found());
  report rows;
  memory.collect(rows);
  ASSERT_EQ(rows.rows().size(), 4U);
  EXPECT_STREQ(rows.rows()[2].name, "second");
  EXPECT_EQ(rows.rows()[2].branch, 1U);
  memory.deallocate(p, 1000);
  memory.deallocate(q, 10'000);
}

// Children die in _exit and say by their status what they found. A hang would be the test's own time limit.
TEST(SizeSplitResource, ChildrenOfAForkGoOnWhileThreadsOfTheParentDid) {
  stack large{pages{}, heap{}, synchronized{}};
  stack memory{pages{}, slabs{}, size_split{.large = &large}};
  std::atomic<bool> done{false};
  std::vector<std::thread> crew;
  for (std::size_t t = 0; t < 4; ++t) {
    crew.emplace_back([&, t] {
      for (std::size_t bytes = t; !done; bytes = (bytes * 7 + 1) % 1000) {
        memory.deallocate(memory.allocate(bytes), bytes);
      }
    });
  }
  for (int i = 0; i < 100; ++i) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      for (const std::size_t bytes : {10U, 1000U}) memory.deallocate(memory.allocate(bytes), bytes);
      ::_exit(memory.check().found() ? 1 : 0);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "child " << i;
  }
  done = true;
  for (std::thread& each : crew) each.join();
  EXPECT_EQ(memory.stats().live, 0U);
  EXPECT_EQ(memory.stats().from_second, 0U);
}

}  // namespace
}  // namespace strata::pmr
