// SPDX-License-Identifier: Apache-2.0
// Claims: recording_resource sees every fault it names and none other; its figures and its log are exact; what is above
// its limits is refused and logged; it uses no counted memory; it may be used from several threads.
#include "tests/support/recording_resource.h"

#include <gtest/gtest-spi.h>
#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <thread>

#include "tests/support/counting_default.h"
#include "tests/support/ownership_table.h"
#include "tests/support/sanitizer.h"

namespace strata::test {
namespace {

constexpr recording_options kCountOnly{.report = findings::manner::count_only};

/// Gives what it is told to give.
class dictated_resource final : public std::pmr::memory_resource {
 public:
  void* next = nullptr;

 private:
  void* do_allocate(std::size_t, std::size_t) override { return next; }
  void do_deallocate(void*, std::size_t, std::size_t) override {}
  bool do_is_equal(const memory_resource& other) const noexcept override { return this == &other; }
};

TEST(RecordingResource, CountsWhatIsLive) {
  recording_resource recorder;
  void* const a = recorder.allocate(100, 8);
  void* const b = recorder.allocate(0, 64);
  EXPECT_EQ(recorder.live(), (balance{2, 100}));
  recorder.deallocate(a, 100, 8);
  EXPECT_EQ(recorder.live(), (balance{1, 0}));
  recorder.deallocate(b, 0, 64);
  EXPECT_EQ(recorder.live(), balance());
  EXPECT_EQ(recorder.peak_bytes(), 100U);
  EXPECT_EQ(recorder.allocations(), 2U);
  EXPECT_EQ(recorder.deallocations(), 2U);
  EXPECT_EQ(recorder.found().count(), 0U);
}

TEST(RecordingResource, LogsEveryRequestGrantedOrNot) {
  recording_resource recorder({.max_request = 1000, .max_alignment = 4096, .max_live = 1500, .log_limit = 4});
  void* const a = recorder.allocate(1000, 8);
  EXPECT_THROW(recorder.deallocate(recorder.allocate(1001, 8), 1001, 8), std::bad_alloc);
  EXPECT_THROW(recorder.deallocate(recorder.allocate(501, 8), 501, 8), std::bad_alloc);
  EXPECT_THROW(recorder.deallocate(recorder.allocate(1, 8192), 1, 8192), std::bad_alloc);
  EXPECT_THROW(recorder.deallocate(recorder.allocate(SIZE_MAX, 1), SIZE_MAX, 1), std::bad_alloc);
  recorder.deallocate(a, 1000, 8);
  const own_vector<request> expected{{1000, 8, true}, {1001, 8, false}, {501, 8, false}, {1, 8192, false}};
  EXPECT_EQ(recorder.requests(), expected) << "four are kept";
  EXPECT_EQ(recorder.request_count(), 5U) << "all are counted";
  EXPECT_EQ(recorder.largest_request(), SIZE_MAX);
  EXPECT_EQ(recorder.smallest_request(), 1U);
  recorder.forget_requests();
  EXPECT_TRUE(recorder.requests().empty());
  EXPECT_EQ(recorder.request_count(), 0U);
  EXPECT_EQ(recorder.largest_request(), 0U);
  EXPECT_EQ(recorder.smallest_request(), SIZE_MAX);
  EXPECT_EQ(recorder.found().count(), 0U);
}

TEST(RecordingResource, SeesAWrongSizeAndAWrongAlignment) {
  recording_resource recorder(kCountOnly);
  void* const a = recorder.allocate(100, 8);
  recorder.deallocate(a, 101, 8);
  EXPECT_EQ(recorder.found().count(fault::wrong_size), 1U);
  void* const b = recorder.allocate(100, 8);
  recorder.deallocate(b, 100, 16);
  EXPECT_EQ(recorder.found().count(fault::wrong_alignment), 1U);
  EXPECT_EQ(recorder.found().count(), 2U);
  EXPECT_EQ(recorder.live(), balance()) << "each was taken back as what it was";
}

TEST(RecordingResource, SeesPointersItDoesNotKnow) {
  recording_resource recorder(kCountOnly);
  auto* const a = static_cast<std::byte*>(recorder.allocate(100, 8));
  std::byte local{};
  recorder.deallocate(&local, 1, 1);
  recorder.deallocate(a + 8, 92, 8);
  EXPECT_EQ(recorder.found().count(fault::unknown_pointer), 2U);
  recorder.deallocate(a, 100, 8);
  recorder.deallocate(a, 100, 8);
  EXPECT_EQ(recorder.found().count(fault::unknown_pointer), 3U) << "a second deallocation";
  EXPECT_EQ(recorder.found().count(), 3U);
}

TEST(RecordingResource, SeesARequestThatIsNone) {
  recording_resource recorder(kCountOnly);
  for (const std::size_t alignment : {std::size_t{0}, std::size_t{3}, std::size_t{24}}) {
    EXPECT_THROW(recorder.deallocate(recorder.allocate(8, alignment), 8, alignment), std::bad_alloc);
  }
  EXPECT_EQ(recorder.found().count(fault::bad_request), 3U);
}

TEST(RecordingResource, SeesWritesRoundABlock) {
  if (under_asan) GTEST_SKIP() << "there the write itself ends the program";
  recording_resource recorder(
      kCountOnly);  // asked by ask(), lest the compiler know the sizes and see the faults itself
  auto* const a = static_cast<std::byte*>(ask(recorder, 100, 8));
  a[100] = std::byte{1};
  recorder.deallocate(a, 100, 8);
  EXPECT_EQ(recorder.found().count(fault::overwritten), 1U);
  auto* const b = static_cast<std::byte*>(ask(recorder, 100, 4096));
  *(b - 1) = std::byte{1};
  recorder.deallocate(b, 100, 4096);
  EXPECT_EQ(recorder.found().count(fault::overwritten), 2U);
  auto* const c = static_cast<std::byte*>(ask(recorder, 100, 8));
  std::memset(c, 1, 100);
  recorder.deallocate(c, 100, 8);
  EXPECT_EQ(recorder.found().count(), 2U) << "the block itself is its owner's";
}

TEST(RecordingResource, SeesNullMisalignmentAndOverlapOfItsUpstream) {
  if (under_ubsan) GTEST_SKIP() << "there a null block ends the program";
  alignas(64) std::array<std::byte, 256> place{};
  dictated_resource upstream;
  recording_resource recorder(&upstream, kCountOnly);
  std::ignore = recorder.allocate(8, 8);
  EXPECT_EQ(recorder.found().count(fault::null_block), 1U);
  upstream.next = &place[8];
  std::ignore = recorder.allocate(8, 16);
  EXPECT_EQ(recorder.found().count(fault::misaligned), 1U);
  upstream.next = &place[64];
  std::ignore = recorder.allocate(64, 8);
  EXPECT_EQ(recorder.found().count(fault::overlap), 0U);
  for (const std::size_t at : {32U, 64U, 96U}) {  // reaches into the block at 64, is it, starts inside
    upstream.next = &place[at];
    std::ignore = recorder.allocate(64, 8);
  }
  EXPECT_EQ(recorder.found().count(fault::overlap), 3U);
  upstream.next = &place[200];
  std::ignore = recorder.allocate(0, 8);
  std::ignore = recorder.allocate(0, 8);
  EXPECT_EQ(recorder.found().count(fault::overlap), 4U) << "two zero-byte blocks in one place";
  EXPECT_EQ(recorder.found().count(), 6U);
}

TEST(RecordingResource, FailsTheTestWhenSomethingIsLeft) {
  const auto leak = [] {
    recording_resource recorder;
    std::ignore = recorder.allocate(100, 8);
  };
  EXPECT_NONFATAL_FAILURE(leak(), "leaked block: 1 blocks, 100 bytes");
}

TEST(RecordingResource, FailsTheTestForEachFault) {
  recording_resource recorder;
  EXPECT_NONFATAL_FAILURE(recorder.deallocate(&recorder, 8, 8), "unknown pointer");
}

TEST(RecordingResource, IsNotSeenToUseTheHeap) {
  recording_resource recorder;
  const counting_default watch;
  std::array<void*, 100> blocks{};
  for (void*& block : blocks) block = recorder.allocate(1000, 64);
  for (void* const block : blocks) recorder.deallocate(block, 1000, 64);
  EXPECT_EQ(watch.used(), heap_use());
}

TEST(RecordingResource, FillsBlocksWithAPattern) {
  recording_resource recorder;
  auto* const block = static_cast<unsigned char*>(recorder.allocate(100'000, 8));
  EXPECT_EQ(block[0], 0xA5);
  EXPECT_EQ(block[99'999], 0xA5);
  recorder.deallocate(block, 100'000, 8);
}

TEST(RecordingResource, ServesSeveralThreads) {
  recording_resource recorder;
  const auto work = [&recorder] {
    for (std::size_t i = 0; i < 2000; ++i) recorder.deallocate(recorder.allocate(i % 100, 8), i % 100, 8);
  };
  {
    const std::jthread one(work);
    const std::jthread other(work);
  }
  EXPECT_EQ(recorder.allocations(), 4000U);
  EXPECT_EQ(recorder.live(), balance());
}

}  // namespace
}  // namespace strata::test
