// SPDX-License-Identifier: Apache-2.0
// Claims: a footprint counts what is live as well as what is kept; it is trimmed before "empty" is taken; holes that
// nothing larger fits are told from those that something does; what a process has used is seen.
#include <gtest/gtest.h>

#include <cstddef>
#include <cstring>
#include <memory_resource>
#include <vector>

import bench;
import process_usage;
import strata.pmr;

namespace {

constexpr std::size_t kMiB = std::size_t{1} << 20;

/// Keeps all it ever gave out until it is trimmed.
class hoarder final : public bench::subject {
 public:
  std::pmr::memory_resource& memory() noexcept override { return memory_; }
  void trim() noexcept override { trimmed = true; }
  bool trimmed = false;

 private:
  // Fresh pages: what malloc gives may be resident already.
  strata::pmr::stack<strata::pmr::pages> pages_{strata::pmr::pages{}};
  std::pmr::monotonic_buffer_resource memory_{&pages_};
};

TEST(Footprint, CountsWhatIsKeptAsWellAsWhatIsLive) {
  hoarder once;
  const std::vector<double> live = bench::measure_live(once, 50'000, 0);
  ASSERT_EQ(live.size(), 1U);
  EXPECT_GT(live[0], 0.9);
  hoarder often;
  EXPECT_GT(bench::measure_live(often, 50'000, 200'000).at(0), 4.0) << "five times the live set";
}

TEST(Footprint, TrimsBeforeItCallsMemoryEmpty) {
  hoarder kept;
  const std::vector<double> figures = bench::measure_refill(kept, 16 * kMiB, 0);
  ASSERT_EQ(figures.size(), 2U);
  EXPECT_GT(figures[0], 1.7);
  EXPECT_GT(figures[1], 1.7);
  EXPECT_TRUE(kept.trimmed);
}

TEST(Footprint, TellsHeldMemoryOfHoles) {
  hoarder kept;
  const std::vector<double> figures = bench::measure_holes(kept, 16 * kMiB);
  ASSERT_EQ(figures.size(), 1U) << "it has no segment";
  EXPECT_GT(figures[0], 1.4) << "half was deallocated and is still there";
}

/// A segment of which any free byte will do for any block.
class perfect final : public bench::subject, public std::pmr::memory_resource {
 public:
  std::pmr::memory_resource& memory() noexcept override { return *this; }
  [[nodiscard]] bool in_segment() const noexcept override { return true; }

  std::size_t live = 0;

 private:
  void* do_allocate(std::size_t bytes, std::size_t alignment) override {
    if (bytes > bench::segment_bytes - live) throw std::bad_alloc();
    live += bytes;
    return std::pmr::new_delete_resource()->allocate(bytes, alignment);
  }
  void do_deallocate(void* at, std::size_t bytes, std::size_t alignment) override {
    live -= bytes;
    std::pmr::new_delete_resource()->deallocate(at, bytes, alignment);
  }
  [[nodiscard]] bool do_is_equal(const memory_resource& other) const noexcept override { return this == &other; }
};

TEST(Footprint, FindsNothingLostInAPerfectSegment) {
  perfect segment;
  const std::vector<double> figures = bench::measure_holes(segment, bench::segment_bytes / 2);
  ASSERT_EQ(figures.size(), 3U);
  EXPECT_NEAR(figures[0], 1, 0.04) << "the largest block is found to a thirty-second";
  EXPECT_NEAR(figures[1], 0, 0.04);
  EXPECT_NEAR(figures[2], 1, 0.001);
  EXPECT_EQ(segment.live, 0U);
}

TEST(Footprint, FindsHolesLostInASegmentThatNeverFillsThem) {
  class never_fills final : public bench::subject {
   public:
    std::pmr::memory_resource& memory() noexcept override { return buffer_; }
    [[nodiscard]] bool in_segment() const noexcept override { return true; }

   private:
    std::vector<std::byte> bytes_ = std::vector<std::byte>(bench::segment_bytes);
    std::pmr::monotonic_buffer_resource buffer_{bytes_.data(), bytes_.size(), std::pmr::null_memory_resource()};
  } segment;
  const std::vector<double> figures = bench::measure_holes(segment, bench::segment_bytes / 2);
  ASSERT_EQ(figures.size(), 3U);
  EXPECT_NEAR(figures[0], 1.5, 0.06) << "a quarter of the segment stays in holes";
  EXPECT_NEAR(figures[1], 0.5, 0.05) << "half of what is free";
  EXPECT_GT(figures[2], 1.3);
}

TEST(ProcessUsage, SeesMemoryThatIsTouched) {
  const auto before = process_usage::resident_bytes();
  ASSERT_GT(before, 0U);
  void* block = std::pmr::new_delete_resource()->allocate(64 * kMiB);
  std::memset(block, 1, 64 * kMiB);
  EXPECT_GE(process_usage::resident_bytes(), before + 57 * kMiB);
  std::pmr::new_delete_resource()->deallocate(block, 64 * kMiB);
  EXPECT_GE(process_usage::peak_resident_bytes(), before + 57 * kMiB);
}

TEST(ProcessUsage, SeesWorkOfThisThread) {
  const auto before = process_usage::thread_cpu_ns();
  volatile unsigned sum = 0;
  while (process_usage::thread_cpu_ns() == before) sum = sum + 1;
  EXPECT_GT(process_usage::thread_cpu_ns(), before);
}

}  // namespace
