// SPDX-License-Identifier: Apache-2.0
// Claims: a footprint is measured from outside: memory that keeps what it is given back counts, and this process grows
// by nothing.
#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory_resource>

import bench;
import process_usage;

namespace {

bench::footprint of(void (*run)(const std::function<void(std::pmr::memory_resource&)>&)) {
  return bench::measure_footprint({"under test", "", true, true, run});
}

TEST(Footprint, CountsWhatIsKeptAsWellAsWhatIsLive) {
  // Nothing comes back from this one: replacing 1,000,000 of 100,000 blocks leaves eleven times the live bytes.
  const bench::footprint measured = of([](const auto& work) {
    std::pmr::monotonic_buffer_resource memory;
    work(memory);
  });
  EXPECT_GT(measured.live, 11.0);
  EXPECT_GT(measured.refill, 1.9);
}

TEST(Footprint, IsAtLeastWhatIsLive) {
  const bench::footprint measured = of([](const auto& work) { work(*std::pmr::new_delete_resource()); });
  EXPECT_GT(measured.live, 1.0);
  EXPECT_GT(measured.refill, 1.0);
}

TEST(Footprint, LeavesThisProcessAlone) {
  const auto before = process_usage::resident_bytes();
  of([](const auto& work) { work(*std::pmr::new_delete_resource()); });
  EXPECT_LT(process_usage::resident_bytes(), before + (std::size_t{8} << 20));
}

TEST(Footprint, IsNoNumberWhenTheMemoryFails) {
  const bench::footprint measured = of([](const auto&) { std::_Exit(1); });
  EXPECT_TRUE(std::isnan(measured.live));
  EXPECT_TRUE(std::isnan(measured.refill));
}

TEST(ProcessUsage, SeesMemoryThatIsTouched) {
  constexpr std::size_t bytes = std::size_t{64} << 20;
  const auto before = process_usage::resident_bytes();
  ASSERT_GT(before, 0U);
  void* block = std::pmr::new_delete_resource()->allocate(bytes);
  std::memset(block, 1, bytes);
  EXPECT_GE(process_usage::resident_bytes(), before + bytes / 10 * 9);
  std::pmr::new_delete_resource()->deallocate(block, bytes);
  EXPECT_GE(process_usage::peak_resident_bytes(), before + bytes / 10 * 9);
}

TEST(ProcessUsage, SeesWorkOfThisThread) {
  const auto before = process_usage::thread_cpu_ns();
  volatile unsigned sum = 0;
  while (process_usage::thread_cpu_ns() == before) sum = sum + 1;
  EXPECT_GT(process_usage::thread_cpu_ns(), before);
}

}  // namespace
