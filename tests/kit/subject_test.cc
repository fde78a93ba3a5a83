// SPDX-License-Identifier: Apache-2.0
// Claims: a subject can be made from a resource by value (even one that cannot be moved), from a pointer to one that
// lives on, from one on the heap, and from a struct of several layers; release() is found where there is one; a
// constructor that throws leaves nothing.
#include "tests/support/subject.h"

#include <gtest/gtest.h>

#include "tests/support/counting_default.h"
#include "tests/support/failing_resource.h"
#include "tests/support/random_run.h"
#include "tests/support/recording_resource.h"

namespace strata::test {
namespace {

struct stating : std::pmr::unsynchronized_pool_resource {
  static constexpr bool thread_safe = true;
  static constexpr std::size_t max_alignment = 64;
};

/// Asks twice in its constructor.
class greedy_resource final : public std::pmr::memory_resource {
 public:
  explicit greedy_resource(std::pmr::memory_resource* upstream) : first_(1000, upstream), second_(upstream) {
    second_.deallocate(second_.allocate(1000), 1000);
  }

 private:
  void* do_allocate(std::size_t bytes, std::size_t alignment) override { return second_.allocate(bytes, alignment); }
  void do_deallocate(void*, std::size_t, std::size_t) override {}
  bool do_is_equal(const std::pmr::memory_resource& other) const noexcept override { return this == &other; }

  std::pmr::vector<char> first_;
  std::pmr::monotonic_buffer_resource second_;
};

void use(const instance& tested) { tested->deallocate(tested->allocate(100, 8), 100, 8); }

TEST(Subject, IsAResourceByValue) {
  recording_resource upstream;
  const subject tested = over_upstream<std::pmr::monotonic_buffer_resource>();
  EXPECT_FALSE(tested.is_source());
  {
    const instance one = tested.make(&upstream);
    use(one);
    EXPECT_EQ(upstream.live().blocks, 1U);
    EXPECT_TRUE(one.release());
    EXPECT_EQ(upstream.live(), balance());
    use(one);
  }
  EXPECT_EQ(upstream.live(), balance()) << "destroyed";
}

TEST(Subject, IsAResourceThatLivesOn) {
  const subject tested([] { return std::pmr::new_delete_resource(); });
  EXPECT_TRUE(tested.is_source());
  const instance one = tested.make(nullptr);
  EXPECT_EQ(one.get(), std::pmr::new_delete_resource());
  EXPECT_FALSE(one.release());
}

TEST(Subject, IsAResourceOnTheHeap) {
  recording_resource upstream;
  const subject tested(
      [](std::pmr::memory_resource* up) { return std::make_unique<std::pmr::monotonic_buffer_resource>(up); });
  const instance one = tested.make(&upstream);
  use(one);
  EXPECT_TRUE(one.release());
  EXPECT_EQ(upstream.live(), balance());
}

TEST(Subject, IsSeveralLayers) {
  struct layers {
    explicit layers(std::pmr::memory_resource* upstream) : lower(upstream) {}
    std::pmr::memory_resource& operator*() { return upper; }
    std::pmr::monotonic_buffer_resource lower;
    failing_resource upper{&lower};
  };
  recording_resource upstream;
  const subject tested([](std::pmr::memory_resource* up) { return layers(up); });
  const instance one = tested.make(&upstream);
  use(one);
  EXPECT_FALSE(one.release()) << "the top has none";
}

TEST(Subject, TakesTheFactsAClassStates) {
  static_assert(facts_of<stating>().thread_safe);
  static_assert(facts_of<stating>().max_alignment == 64);
  static_assert(!facts_of<std::pmr::monotonic_buffer_resource>().thread_safe);
  static_assert(facts_of<stating>({.returns_everything = false}).returns_everything == false);
}

TEST(Subject, LeavesNothingWhenItsConstructorThrows) {
  recording_resource upstream;
  failing_resource failing(&upstream);
  const subject tested = over_upstream<greedy_resource>();
  const auto make = [&] { use(tested.make(&failing)); };
  EXPECT_GE(until_it_succeeds(failing, make, [&] { EXPECT_EQ(upstream.live(), balance()); }), 2U);
}

TEST(Subject, IsMadeWithoutTheHeap) {
  recording_resource upstream;
  const subject tested = over_upstream<std::pmr::monotonic_buffer_resource>();
  const counting_default watch;
  use(tested.make(&upstream));
  EXPECT_EQ(watch.used(), heap_use());
}

TEST(RandomRequests, AreTheSameForTheSameSeedAndWithinTheLimits) {
  random_requests a(7, 1000, 64);
  random_requests b(7, 1000, 64);
  std::size_t largest = 0;
  for (int i = 0; i < 10'000; ++i) {
    const std::size_t bytes = a.bytes();
    ASSERT_EQ(bytes, b.bytes());
    ASSERT_LE(bytes, 1000U);
    largest = std::max(largest, bytes);
    const std::size_t alignment = a.alignment();
    ASSERT_EQ(alignment, b.alignment());
    ASSERT_LE(alignment, 64U);
    ASSERT_EQ(alignment & (alignment - 1), 0U);
  }
  EXPECT_GT(largest, 900U);
}

}  // namespace
}  // namespace strata::test
