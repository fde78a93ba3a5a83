// SPDX-License-Identifier: Apache-2.0
// Claims: each kind of line is as documented, to the byte; a frame is named once, before its first line, and named anew
// where there was no memory to note it; a refused call says how it ended.
#include <gtest/gtest.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <string>
#include <vector>

#include "tests/os_script/os_script.h"

import strata.pmr;

namespace strata::pmr {
namespace {

struct CallLog : testing::Test {
  static void keep(void* to, const char* text, std::size_t bytes) noexcept {
    static_cast<CallLog*>(to)->lines.emplace_back(text, bytes);
  }
  [[nodiscard]] std::string last() const { return lines.empty() ? "" : lines.back(); }

  std::vector<std::string> lines;
  text_sink sink{keep, this};
  call_log log{"or ders", sink, 4};
  const void* const block = reinterpret_cast<const void*>(0xA0);
  const void* const other = reinterpret_cast<const void*>(0xB0);
};

TEST_F(CallLog, SaysWhoLogs) {
  log.write_head();
  EXPECT_EQ(last(), "strata-log 1 or%20ders\n");
}

TEST_F(CallLog, WritesAllocations) {
  call_log::call call{.number = 7, .name = "allocate", .from = {3, {}}, .bytes = 64, .alignment = 16};
  log.begin(call);
  EXPECT_EQ(last(), "or%20ders 7 begin allocate bytes=64 alignment=16 thread=3\n");
  call.pointer = block;
  log.end(call, call_log::outcome::done);
  EXPECT_EQ(last(), "or%20ders 7 end allocate pointer=0xa0 bytes=64 alignment=16 thread=3\n");
  log.end(call, call_log::outcome::failed);
  EXPECT_EQ(last(), "or%20ders 7 end allocate failed bytes=64 alignment=16 thread=3\n");
}

TEST_F(CallLog, WritesDeallocations) {
  const call_log::call call{
      .number = 8, .name = "deallocate", .from = {3, {}}, .bytes = 64, .alignment = 16, .pointer = block};
  log.begin(call);
  EXPECT_EQ(last(), "or%20ders 8 begin deallocate pointer=0xa0 bytes=64 alignment=16 thread=3\n");
  log.end(call, call_log::outcome::done);
  EXPECT_EQ(last(), "or%20ders 8 end deallocate pointer=0xa0 bytes=64 alignment=16 thread=3\n");
  log.end(call, call_log::outcome::misuse);
  EXPECT_EQ(last(), "or%20ders 8 end deallocate misuse bytes=64 alignment=16 thread=3\n");
}

TEST_F(CallLog, WritesReallocations) {
  call_log::call call{
      .number = 9, .name = "reallocate", .from = {3, {}}, .bytes = 64, .alignment = 16, .old = block, .to = 128};
  log.begin(call);
  EXPECT_EQ(last(), "or%20ders 9 begin reallocate pointer=0xa0 bytes=64 to=128 alignment=16 thread=3\n");
  call.pointer = other;
  log.end(call, call_log::outcome::done);
  EXPECT_EQ(last(), "or%20ders 9 end reallocate pointer=0xb0 from=0xa0 bytes=128 alignment=16 thread=3\n");
  log.end(call, call_log::outcome::failed);
  EXPECT_EQ(last(), "or%20ders 9 end reallocate failed from=0xa0 bytes=128 alignment=16 thread=3\n");
}

TEST_F(CallLog, WritesReleases) {
  const call_log::call call{.number = 10, .name = "release"};
  log.begin(call);
  EXPECT_EQ(last(), "or%20ders 10 begin release\n");
  log.end(call, call_log::outcome::done);
  EXPECT_EQ(last(), "or%20ders 10 end release\n");
}

TEST_F(CallLog, NamesAFrameOnceBeforeItsFirstLine) {
  const std::array<const void*, 2> stack{block, other};
  const call_log::call call{.number = 1,
                            .name = "allocate",
                            .from = {1, stack},
                            .bytes = 1,
                            .alignment = 1,
                            .pointer = reinterpret_cast<const void*>(0xC0)};
  log.end(call, call_log::outcome::done);
  log.end(call, call_log::outcome::done);
  const std::string line = "or%20ders 1 end allocate pointer=0xc0 bytes=1 alignment=1 thread=1 stack=0xa0,0xb0\n";
  EXPECT_EQ(lines, (std::vector<std::string>{"frame 0xa0 ?\n", "frame 0xb0 ?\n", line, line}));
}

TEST_F(CallLog, NamesAFrameAnewWhereItCouldNotBeNoted) {
  const std::array<const void*, 1> stack{block};
  const call_log::call call{.number = 1, .name = "allocate", .from = {1, stack}, .bytes = 1, .alignment = 1};
  test::os_script script;
  script.fail_always(test::os_call::mmap, ENOMEM);
  log.end(call, call_log::outcome::failed);
  log.end(call, call_log::outcome::failed);
  script.fail_always(test::os_call::mmap, 0);
  ASSERT_EQ(lines.size(), 4U);
  EXPECT_EQ(lines[0], "frame 0xa0 ?\n");
  EXPECT_EQ(lines[2], "frame 0xa0 ?\n");
}

}  // namespace
}  // namespace strata::pmr
