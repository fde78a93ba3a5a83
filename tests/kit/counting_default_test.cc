// SPDX-License-Identifier: Apache-2.0
// Claims: every way to the global heap is counted, on the thread that took it and no other; uncounted and the end of
// the watch hide it; the default resource is restored.
#include "tests/support/counting_default.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>
#include <thread>

#include "tests/support/sanitizer.h"

namespace strata::test {
namespace {

/// Memory that is looked at, lest the compiler leave it out.
void keep(void* block) {
  void* volatile seen = block;
  (void)seen;
}

struct alignas(256) wide {
  char bytes[256];
};

// Where a sanitizer owns the heap, operator new shows as malloc alone.
constexpr std::size_t kNew = STRATA_TEST_SANITIZER_OWNS_MALLOC ? 0 : 1;

// TSan's runtime does not report over-aligned blocks to its hooks.
constexpr std::size_t kAligned = under_tsan ? 0 : 1;

TEST(CountingDefault, IsInForce) {
  EXPECT_TRUE(heap_is_watched());
  const counting_default watch;
  EXPECT_TRUE(heap_is_watched()) << "asking is not counted";
  EXPECT_EQ(watch.used(), heap_use());
}

TEST(CountingDefault, CountsOperatorNew) {
  const counting_default watch;
  auto* const object = new int(1);
  keep(object);
  delete object;
  EXPECT_EQ(watch.used(), (heap_use{0, kNew, 1}));
  auto* const array = new int[10];
  keep(array);
  delete[] array;
  EXPECT_EQ(watch.used(), (heap_use{0, 2 * kNew, 2}));
  auto* const quiet = new (std::nothrow) int;
  keep(quiet);
  delete quiet;
  EXPECT_EQ(watch.used(), (heap_use{0, 3 * kNew, 3}));
  auto* const aligned = new wide;
  keep(aligned);
  delete aligned;
  EXPECT_EQ(watch.used(), (heap_use{0, 4 * kNew, 3 + kAligned}));
}

TEST(CountingDefault, CountsTheMallocFamily) {
  const counting_default watch;
  void* block = std::malloc(10);
  keep(block);
  EXPECT_EQ(watch.used().malloc, 1U);
  block = std::realloc(block, 10'000);
  keep(block);
  EXPECT_EQ(watch.used().malloc, 2U);
  std::free(block);
  block = std::calloc(10, 10);
  keep(block);
  std::free(block);
  EXPECT_EQ(watch.used().malloc, 3U);
  block = std::aligned_alloc(64, 128);
  keep(block);
  std::free(block);
  EXPECT_EQ(watch.used().malloc, 3 + kAligned);
  ASSERT_EQ(::posix_memalign(&block, 64, 100), 0);
  keep(block);
  std::free(block);
  EXPECT_EQ(watch.used(), (heap_use{0, 0, 3 + 2 * kAligned}));
}

TEST(CountingDefault, CountsTheDefaultResource) {
  const counting_default watch;
  {
    const std::pmr::vector<int> numbers(10);
  }
  EXPECT_EQ(watch.used().default_resource, 1U);
  {
    const counting_default inner;
    const std::pmr::vector<int> numbers(10);
    EXPECT_EQ(inner.used().default_resource, 1U);
  }
  EXPECT_EQ(watch.used().default_resource, 2U);
}

TEST(CountingDefault, LeavesTheDefaultResourceAsItWas) {
  std::pmr::memory_resource* const before = std::pmr::get_default_resource();
  std::pmr::vector<int> survivor;
  {
    const counting_default watch;
    EXPECT_NE(std::pmr::get_default_resource(), before);
    survivor.~vector();
    std::construct_at(&survivor, std::size_t{10}, 7);
  }
  EXPECT_EQ(std::pmr::get_default_resource(), before);
  EXPECT_EQ(survivor[9], 7) << "and blocks outlive the watch";
}

TEST(CountingDefault, CountsForTheThreadThatCalls) {
  heap_use there;
  const counting_default watch;
  std::jthread other([&there] {
    const counting_default its_own;
    auto* const object = new int(1);
    keep(object);
    delete object;
    there = its_own.used();
  });
  const heap_use started = watch.used();  // starting a thread takes memory here
  other.join();
  EXPECT_EQ(there, (heap_use{0, kNew, 1}));
  EXPECT_EQ(watch.used(), started);
}

TEST(CountingDefault, OverlooksWhatIsUncounted) {
  const counting_default watch;
  {
    const uncounted outer;
    {
      const uncounted inner;
    }
    auto* const object = new int(1);
    keep(object);
    delete object;
  }
  EXPECT_EQ(watch.used(), heap_use());
}

}  // namespace
}  // namespace strata::test
