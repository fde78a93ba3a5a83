// SPDX-License-Identifier: Apache-2.0
// Claims: a footprint counts what is live as well as what is kept; it is trimmed before "empty" is taken; what a process
// has used is seen.
#include <gtest/gtest.h>

#include <cstddef>
#include <cstring>
#include <memory_resource>
#include <vector>

import bench;
import process_usage;

namespace {

constexpr std::size_t kMiB = std::size_t{1} << 20;

/// Keeps all it ever gave out until it is trimmed.
class hoarder final : public bench::subject {
 public:
  std::pmr::memory_resource& memory() noexcept override { return memory_; }
  void trim() noexcept override { trimmed = true; }
  bool trimmed = false;

 private:
  std::pmr::monotonic_buffer_resource memory_;
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
