// SPDX-License-Identifier: Apache-2.0
// Claims: a dump comes back as it was written; what stands round it is read over; what is not known in it is tolerated;
// a dump cut short, at whatever byte, is noticed; so are blocks that cannot be, and numbers that differ.
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

import tools;

namespace {

using tools::dump_oddity;

std::vector<tools::heap_dump> read(std::string_view text) {
  tools::heap_dump_reader reader;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    reader.add(text.substr(0, end), end != std::string_view::npos);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  return reader.finish();
}

std::uint64_t times(const tools::heap_dump& dump, dump_oddity what) {
  return dump.odd[static_cast<std::size_t>(what)].times;
}

constexpr std::string_view kDump =
    "strata-heap 1 my%20heap\n"
    "arena 0x1000 4096\n"
    "used 0x1028 64 50\n"
    "movable 0x1068 96 60\n"
    "kept 0x10c8 32 0\n"
    "free 0x10e8 3832 0\n"
    "arena 0x8000 512\n"
    "end 2 4\n";

TEST(HeapDump, ComesBackAsItWasWritten) {
  const auto dumps = read(kDump);
  ASSERT_EQ(dumps.size(), 1U);
  EXPECT_EQ(dumps[0].name, "my heap");
  EXPECT_TRUE(dumps[0].adds_up());
  ASSERT_EQ(dumps[0].arenas.size(), 2U);
  EXPECT_EQ(dumps[0].arenas[0].start, 0x1000U);
  EXPECT_EQ(dumps[0].arenas[0].bytes, 4096U);
  ASSERT_EQ(dumps[0].arenas[0].blocks.size(), 4U);
  const tools::dumped_block& movable = dumps[0].arenas[0].blocks[1];
  EXPECT_EQ(movable.state, tools::block_state::movable);
  EXPECT_EQ(movable.payload, 0x1068U);
  EXPECT_EQ(movable.begin(), 0x1060U);
  EXPECT_EQ(movable.bytes, 96U);
  EXPECT_EQ(movable.asked, 60U);
  EXPECT_TRUE(dumps[0].arenas[1].blocks.empty());
}

TEST(HeapDump, StandsAmongOtherThings) {
  const std::string text =
      "starting\nused 0x10 8 8\n" + std::string(kDump) + "arena of dreams\n" + std::string(kDump) + "done";
  const auto dumps = read(text);
  ASSERT_EQ(dumps.size(), 2U);
  EXPECT_TRUE(dumps[0].adds_up());
  EXPECT_TRUE(dumps[1].adds_up());
  EXPECT_TRUE(read("nothing of it\n").empty());
  EXPECT_TRUE(read("").empty());
}

TEST(HeapDump, ToleratesWhatItDoesNotKnow) {
  const auto dumps = read("strata-heap 1 h v=3\narena 0x1000 4096 node=1\nlent 0x1028 64 50 who=me\nend 1 1 twice\n");
  ASSERT_EQ(dumps.size(), 1U);
  EXPECT_TRUE(dumps[0].adds_up());
  EXPECT_EQ(dumps[0].arenas[0].blocks[0].state, tools::block_state::other);
}

TEST(HeapDump, OfAnotherVersionIsReadOver) {
  tools::heap_dump_reader reader;
  for (const char* const line : {"strata-heap 2 h", "arena 0x1000 4096", "end 1 0"}) reader.add(line, true);
  EXPECT_TRUE(reader.unknown_version());
  EXPECT_TRUE(reader.finish().empty());
}

TEST(HeapDump, CutShortAnywhereIsNoticed) {
  const std::size_t first = kDump.find('\n') + 1;
  for (std::size_t size = first; size < kDump.size(); ++size) {
    const auto dumps = read(kDump.substr(0, size));
    ASSERT_EQ(dumps.size(), 1U) << size;
    EXPECT_EQ(times(dumps[0], dump_oddity::cut_short), 1U) << size;
  }
  const auto two = read(std::string(kDump.substr(0, 60)) + '\n' + std::string(kDump));
  ASSERT_EQ(two.size(), 2U);
  EXPECT_EQ(times(two[0], dump_oddity::cut_short), 1U) << "another begins before its end";
  EXPECT_TRUE(two[1].adds_up());
}

TEST(HeapDump, NoticesWhatCannotBe) {
  const auto one = [](std::string_view blocks) {
    return read("strata-heap 1 h\narena 0x1000 4096\n" + std::string(blocks) + "end 1 0\n")[0];
  };
  for (const char* const line : {"used\n", "used 1028 64 50\n", "used 0x1028 64\n", "used 0x1028 x 50\n",
                                 "arena 0x10\n", "arena 0xffffffffffffff00 4096\n", "arena 0x2000 0\n", "\n"}) {
    EXPECT_EQ(times(one(line), dump_oddity::damaged), 1U) << line;
  }
  for (const char* const line : {"used 0x4 64 50\n", "used 0x1004 64 50\n", "used 0x1028 4 0\n", "used 0x2008 64 50\n",
                                 "used 0x1028 4096 50\n", "used 0x1028 18446744073709551615 50\n"}) {
    EXPECT_EQ(times(one(line), dump_oddity::misplaced), 1U) << line;
    EXPECT_TRUE(one(line).arenas[0].blocks.empty()) << line;
  }
  EXPECT_EQ(times(one("used 0x1028 64 8\nused 0x1060 64 8\n"), dump_oddity::misplaced), 1U) << "one over another";
  EXPECT_EQ(times(one("used 0x1028 64 57\n"), dump_oddity::asked_too_much), 1U);
  EXPECT_EQ(times(one("movable 0x1028 64 41\n"), dump_oddity::asked_too_much), 1U);
  EXPECT_EQ(times(one("used 0x1028 64 8\n"), dump_oddity::wrong_count), 1U);
  EXPECT_EQ(times(read("strata-heap 1 h\nused 0x1028 64 8\nend 0 0\n")[0], dump_oddity::misplaced), 1U);
}

}  // namespace
