// SPDX-License-Identifier: Apache-2.0
// Claims: any size becomes whole pages, and what cannot is refused without a system call; alignment up to 1 GiB; every
// failing call leaves nothing mapped; a run the OS will not take back loses its contents and waits in stranded_runs
// until it does; what of a run is in RAM is told.
#include <gtest/gtest.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <limits>
#include <utility>

#include "tests/os_script/os_script.h"

import strata.mem;

namespace strata::mem {
namespace {

using test::fail_each;
using test::os_call;
using test::os_script;

TEST(PageRun, RoundsAnySizeToWholePages) {
  const std::size_t page = page_bytes();
  EXPECT_EQ(run_bytes_for(0), page);
  EXPECT_EQ(run_bytes_for(1), page);
  EXPECT_EQ(run_bytes_for(page), page);
  EXPECT_EQ(run_bytes_for(page + 1), 2 * page);
  EXPECT_EQ(run_bytes_for(max_object), 0U);
  EXPECT_EQ(run_bytes_for(std::numeric_limits<std::size_t>::max()), 0U);
}

TEST(PageRun, RefusesWhatCannotBeWithoutAskingTheOs) {
  os_script script;
  for (const auto& [bytes, alignment] :
       {std::pair{std::numeric_limits<std::size_t>::max(), std::size_t{1}}, std::pair{max_object, std::size_t{1}},
        std::pair{std::size_t{1}, 2 * max_run_alignment}}) {
    const page_run_result result = map_run(bytes, alignment, {});
    EXPECT_EQ(result.run.base, nullptr);
    EXPECT_EQ(result.error.code, ENOMEM);
  }
  EXPECT_EQ(script.calls(os_call::mmap), 0U);
}

TEST(PageRun, AlignsUpToOneGibibyte) {
  for (std::size_t alignment = 1; alignment <= max_run_alignment; alignment *= 2) {
    const page_run_result result = map_run(3 * page_bytes(), alignment, {});
    ASSERT_NE(result.run.base, nullptr) << alignment;
    EXPECT_TRUE(is_aligned(result.run.base, alignment));
    std::memset(result.run.base, 1, result.run.bytes);
    EXPECT_FALSE(unmap_run(result.run).failed());
  }
}

TEST(PageRun, EveryFailingCallLeavesNothingMapped) {
  for (const os_call call : {os_call::mmap, os_call::madvise}) {
    fail_each(call, {ENOMEM, EAGAIN}, [](os_script& script) {
      const page_run_result result = map_run(5 * page_bytes(), 64 * page_bytes(), {.prefault = true, .label = "test"});
      if (result.run.base == nullptr) {
        EXPECT_TRUE(result.error.failed());
        EXPECT_EQ(script.mapped_bytes(), 0U);
      } else {
        EXPECT_FALSE(unmap_run(result.run).failed());
      }
    });
  }
}

TEST(PageRun, KnowsWhatIsResident) {
  const page_run run = map_run(64 * page_bytes(), page_bytes(), {}).run;
  ASSERT_NE(run.base, nullptr);
  EXPECT_EQ(resident_in(run), 0U);
  std::memset(run.base, 1, 3 * page_bytes());
  const std::size_t resident = resident_in(run).value();
  EXPECT_GE(resident, 3 * page_bytes());
  EXPECT_LE(resident, run.bytes);
  EXPECT_FALSE(unmap_run(run).failed());
}

TEST(PageRun, StrandedRunsAreEmptiedAndWait) {
  const page_run run = map_run(4 * page_bytes(), 1, {}).run;
  const page_run other = map_run(2 * page_bytes(), 1, {}).run;
  std::memset(run.base, 0xAB, run.bytes);
  stranded_runs stranded;
  {
    os_script script;
    script.fail_always(os_call::munmap, ENOMEM);
    EXPECT_EQ(unmap_run(run).code, ENOMEM);
    EXPECT_EQ(*static_cast<const unsigned char*>(run.base), 0U) << "its memory went back";
    stranded.add(run);
    stranded.add(other);
    EXPECT_EQ(stranded.bytes(), 6 * page_bytes());
    EXPECT_EQ(stranded.retry(), 0U);
  }
  {
    os_script script;
    script.fail(os_call::munmap, 2, ENOMEM);
    EXPECT_EQ(stranded.retry(), other.bytes) << "stops at the first refusal";
  }
  EXPECT_EQ(stranded.bytes(), run.bytes);
  EXPECT_EQ(stranded.retry(), run.bytes);
  EXPECT_EQ(stranded.bytes(), 0U);
  EXPECT_EQ(stranded.retry(), 0U);
}

}  // namespace
}  // namespace strata::mem
