// SPDX-License-Identifier: Apache-2.0
// Claims: every form of line is read; what is not known in a line is read over; a line of a layer that lacks what it has
// to say, or says it wrong, is damaged; everything else is no line of a log.
#include <gtest/gtest.h>

#include <string_view>

import tools;

namespace {

using kind = tools::log_line::kind;

TEST(CallLog, ReadsBothEndsOfACall) {
  const tools::log_line begin = tools::read_log_line("my%20heap 17 begin allocate bytes=64 alignment=16 thread=2");
  ASSERT_EQ(begin.is, kind::call);
  EXPECT_EQ(begin.call.layer, "my%20heap");
  EXPECT_EQ(begin.call.number, 17U);
  EXPECT_EQ(begin.call.what, tools::verb::allocate);
  EXPECT_EQ(begin.call.end, tools::ending::none);
  EXPECT_EQ(begin.call.bytes, 64U);
  EXPECT_EQ(begin.call.alignment, 16U);
  EXPECT_EQ(begin.call.thread, 2U);

  const tools::log_line end =
      tools::read_log_line("d 18 end reallocate pointer=0xb0 from=0xa0 bytes=128 alignment=16 thread=1 stack=0x1,0x2");
  ASSERT_EQ(end.is, kind::call);
  EXPECT_EQ(end.call.what, tools::verb::reallocate);
  EXPECT_EQ(end.call.end, tools::ending::done);
  EXPECT_EQ(end.call.pointer, 0xb0U);
  EXPECT_EQ(end.call.from, 0xa0U);
  EXPECT_EQ(end.call.bytes, 128U);
  EXPECT_EQ(end.call.stack, "0x1,0x2");
}

TEST(CallLog, ReadsHowACallEnds) {
  EXPECT_EQ(tools::read_log_line("d 1 end allocate failed bytes=64 alignment=16 thread=1").call.end,
            tools::ending::failed);
  EXPECT_EQ(tools::read_log_line("d 1 end deallocate misuse bytes=64").call.end, tools::ending::misuse);
  EXPECT_EQ(tools::read_log_line("d 1 end release").call.end, tools::ending::done);
}

TEST(CallLog, TakesAPointerThatIsNotThereForNull) {
  EXPECT_EQ(tools::read_log_line("d 1 begin deallocate bytes=0 alignment=8 thread=1").is, kind::call);
  EXPECT_EQ(tools::read_log_line("d 1 begin reallocate bytes=0 to=8 alignment=8 thread=1").is, kind::call);
  const tools::log_line end = tools::read_log_line("d 1 end reallocate pointer=0xa0 bytes=8 alignment=8 thread=1");
  EXPECT_EQ(end.is, kind::call);
  EXPECT_EQ(end.call.from, 0U);
}

TEST(CallLog, ReadsHeadersAndFrames) {
  EXPECT_EQ(tools::read_log_line("strata-log 1 d").is, kind::header);
  EXPECT_EQ(tools::read_log_line("strata-log 1 d").call.layer, "d");
  EXPECT_EQ(tools::read_log_line("strata-log 2 d").is, kind::version);
  const tools::log_line frame = tools::read_log_line("frame 0x4f main+0x10");
  ASSERT_EQ(frame.is, kind::frame);
  EXPECT_EQ(frame.call.pointer, 0x4fU);
  EXPECT_EQ(frame.name, "main+0x10");
}

TEST(CallLog, ReadsOverWhatItDoesNotKnow) {
  const tools::log_line line = tools::read_log_line("d 1 end allocate cpu=x pointer=0xa0 bytes=8 hot node=3");
  ASSERT_EQ(line.is, kind::call);
  EXPECT_EQ(line.call.pointer, 0xa0U);
  EXPECT_EQ(line.call.bytes, 8U);
}

TEST(CallLog, NoticesDamage) {
  for (const std::string_view line :
       {"d 1 begin", "d 1 end", "d 1 begin reserve bytes=8", "d 1 begin allocate", "d 1 begin allocate bytes=",
        "d 1 begin allocate bytes=6x", "d 1 end allocate bytes=8", "d 1 end allocate pointer=a0 bytes=8",
        "d 1 begin deallocate", "d 1 end deallocate", "d 1 begin reallocate pointer=0xa0 bytes=8",
        "d 1 end reallocate pointer=0xa0", "d 1 begin allocate bytes=99999999999999999999"}) {
    EXPECT_EQ(tools::read_log_line(line).is, kind::damaged) << line;
    EXPECT_EQ(tools::read_log_line(line).call.layer, "d") << line;
  }
}

TEST(CallLog, LeavesAProgramsOwnLinesAlone) {
  for (const std::string_view line :
       {"", " ", "hello", "strata-log", "strata-log one d", "strata-log 1", "frame 7", "frame rate 60", "frame 0x10",
        "d one begin allocate", "d 1 starts allocate", "d -1 begin allocate bytes=8", "\t1 2 3"}) {
    EXPECT_EQ(tools::read_log_line(line).is, kind::other) << line;
  }
}

}  // namespace
