// SPDX-License-Identifier: Apache-2.0
// Claims: each call logs a line at its beginning and one at its end, whatever comes of it (D2-16), and end lines alone
// tell what is live at any time, whichever thread wrote them (W2-09); a memory with nothing but an upstream can do
// everything (W2-10); a reallocation keeps the contents and, when it fails, the old block (W2-12); a handler holds up
// nobody and may use the memory (D2-13); one that throws leaves the memory free and marked, and later calls say so
// (W2-13); a wrong call leaves it usable; misuse is counted; reporting takes nothing from the heap.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory_resource>
#include <mutex>
#include <new>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/pmr/watched_memory.h"
#include "tests/support/counting_default.h"
#include "tests/support/failing_resource.h"
#include "tests/support/recording_resource.h"

import strata.pmr;

namespace strata::pmr {
namespace {

using enum debug_flags;

constexpr const char* damaged = "used after damage was found in it: nothing is served any more";

std::byte* bytes_of(void* p) { return static_cast<std::byte*>(p); }

// The line without what is another in every run: pointers.
std::string shape_of(const std::string& line) {
  std::string shape;
  for (std::size_t i = 0; i < line.size(); ++i) {
    shape += line[i];
    if (line[i] != 'x' || line[i - 1] != '0') continue;
    while (std::isxdigit(static_cast<unsigned char>(line[i + 1])) != 0) ++i;
  }
  return shape;
}

TEST(DebugCalls, LogTwoLinesEachD2_16) {
  kept_lines out;
  test::recording_resource below;
  test::failing_resource failing(&below);
  debug_adaptor memory(
      &failing,
      {.name = "orders", .flags = logging, .log = text_sink(kept_lines::keep, &out), .when_misused = on_misuse::count});
  const std::string thread = std::to_string(this_thread_serial()) + "\n";
  const auto expect = [&](std::vector<std::string> lines) {
    std::vector<std::string> shapes;
    for (const std::string& line : out.lines) shapes.push_back(shape_of(line));
    EXPECT_EQ(shapes, lines);
    out.lines.clear();
  };
  expect({"strata-log 1 orders\n"});
  void* p = memory.allocate(64, 8);
  expect({"orders 1 begin allocate bytes=64 alignment=8 thread=" + thread,
          "orders 1 end allocate pointer=0x bytes=64 alignment=8 thread=" + thread});
  memory.deallocate(p, 60, 8);
  expect({"orders 2 begin deallocate pointer=0x bytes=60 alignment=8 thread=" + thread,
          "orders 2 end deallocate misuse bytes=60 alignment=8 thread=" + thread});
  p = memory.reallocate(p, 64, 128, 8);
  expect({"orders 3 begin reallocate pointer=0x bytes=64 to=128 alignment=8 thread=" + thread,
          "orders 3 end reallocate pointer=0x from=0x bytes=128 alignment=8 thread=" + thread});
  failing.from(1);
  EXPECT_THROW(static_cast<void>(memory.allocate(1)), std::bad_alloc);
  expect({"orders 4 begin allocate bytes=1 alignment=16 thread=" + thread,
          "orders 4 end allocate failed bytes=1 alignment=16 thread=" + thread});
  EXPECT_THROW(static_cast<void>(memory.reallocate(p, 128, 256, 8)), std::bad_alloc);
  expect({"orders 5 begin reallocate pointer=0x bytes=128 to=256 alignment=8 thread=" + thread,
          "orders 5 end reallocate failed from=0x bytes=256 alignment=8 thread=" + thread});
  memory.deallocate(p, 128, 8);
  expect({"orders 6 begin deallocate pointer=0x bytes=128 alignment=8 thread=" + thread,
          "orders 6 end deallocate pointer=0x bytes=128 alignment=8 thread=" + thread});
  memory.deallocate(p, 128, 8);
  expect({"orders 7 begin deallocate pointer=0x bytes=128 alignment=8 thread=" + thread,
          "orders 7 end deallocate misuse bytes=128 alignment=8 thread=" + thread});
}

TEST(DebugCalls, LogStacksAndNamesOfTheirFrames) {
  kept_lines out;
  debug_adaptor memory(std::pmr::new_delete_resource(),
                       {.flags = logging, .log_depth = 3, .log = text_sink(kept_lines::keep, &out)});
  memory.deallocate(memory.allocate(64), 64);
  std::set<std::string> named;
  std::size_t frames = 0;
  for (const std::string& line : out.lines) {
    if (line.starts_with("frame ")) {
      const std::size_t end = line.find(' ', 6);
      EXPECT_TRUE(named.insert(line.substr(6, end - 6)).second) << line;
      EXPECT_GT(line.size(), end + 2);
    }
    const std::size_t stack = line.find(" stack=");
    EXPECT_EQ(stack != std::string::npos, line.find(" end ") != std::string::npos) << line;
    if (stack == std::string::npos) continue;
    std::istringstream addresses(line.substr(stack + 7, line.size() - stack - 8));
    for (std::string frame; std::getline(addresses, frame, ','); ++frames) EXPECT_TRUE(named.contains(frame)) << line;
  }
  EXPECT_GE(frames, 2U);
  EXPECT_LE(frames, 6U);
}

// Reads end lines alone, as a tool would.
std::map<std::string, std::size_t> live_after(const std::vector<std::string>& lines) {
  std::map<std::string, std::size_t> live;
  for (const std::string& line : lines) {
    std::istringstream words(line);
    std::string layer;
    std::string number;
    std::string part;
    std::string call;
    words >> layer >> number >> part >> call;
    if (part != "end") continue;
    std::map<std::string, std::string> fields;
    for (std::string word; words >> word;) fields[word.substr(0, word.find('='))] = word.substr(word.find('=') + 1);
    if (!fields.contains("pointer")) continue;
    if (call == "deallocate") {
      EXPECT_EQ(live.erase(fields["pointer"]), 1U) << line;
    } else {
      if (call == "reallocate") {
        EXPECT_EQ(live.erase(fields["from"]), 1U) << line;
      }
      EXPECT_TRUE(live.emplace(fields["pointer"], std::stoul(fields["bytes"])).second) << line;
    }
  }
  return live;
}

struct shared_lines {
  std::mutex lock;
  std::vector<std::string> lines;
  static void keep(void* to, const char* text, std::size_t bytes) noexcept {
    auto* const self = static_cast<shared_lines*>(to);
    const std::lock_guard held(self->lock);
    self->lines.emplace_back(text, bytes);
  }
};

TEST(DebugCalls, LogWhatIsLiveAtAnyTimeW2_09) {
  shared_lines out;
  debug_adaptor memory(std::pmr::new_delete_resource(), {.flags = logging,
                                                         .stack_depth = 0,
                                                         .log = text_sink(shared_lines::keep, &out),
                                                         .when_misused = on_misuse::count,
                                                         .live_at_end_is_misuse = false});
  std::mutex lock;
  std::map<void*, std::size_t> expected;
  std::vector<std::thread> crew;
  for (unsigned n = 0; n < 4; ++n) {
    crew.emplace_back([&, n] {
      std::vector<std::pair<void*, std::size_t>> mine;
      for (std::size_t i = 0; i < 500; ++i) {
        mine.emplace_back(memory.allocate(n + i % 7), n + i % 7);
        if (i % 5 == 1) {
          auto& [p, bytes] = mine.back();
          p = memory.reallocate(p, bytes, bytes + 20);
          bytes += 20;
        }
        if (i % 3 != 0) {
          memory.deallocate(mine.back().first, mine.back().second);
          mine.pop_back();
        }
      }
      const std::lock_guard held(lock);
      expected.insert(mine.begin(), mine.end());
    });
  }
  for (std::thread& each : crew) each.join();
  std::map<std::string, std::size_t> in_words;
  for (const auto& [p, bytes] : expected) {
    text_line line;
    line << static_cast<const void*>(p);
    in_words.emplace(line.text(), bytes);
  }
  EXPECT_EQ(live_after(out.lines), in_words);
  for (const auto& [p, bytes] : expected) memory.deallocate(p, bytes);
  EXPECT_TRUE(live_after(out.lines).empty());
  EXPECT_EQ(memory.misuses(), 0U);
}

// No handler, no sink, no function but allocate and deallocate below.
TEST(DebugCalls, NeedNothingButAnUpstreamW2_10) {
  stack memory{pages{}, heap{}, debug{.flags = antagonism | paranoia | tolerance | noreuse}};
  static_assert(!decltype(memory)::thread_safe);
  auto& top = memory.top();
  void* p = memory.allocate(10);
  std::memcpy(p, "contents", 9);
  p = top.reallocate(p, 10, 1000);
  EXPECT_STREQ(static_cast<const char*>(p), "contents");
  EXPECT_EQ(top.usable_size(p), 1000U);
  EXPECT_TRUE(top.owns(p));
  EXPECT_FALSE(top.check(p).found());
  EXPECT_FALSE(memory.check().found());
  memory.deallocate(p, 1000);
  EXPECT_GT(top.trim(), 0U);
  memory.release();
  EXPECT_EQ(memory.stats().upstream, 0U);
}

TEST(DebugCalls, ReallocationKeepsWhatFitsAndMovesAlways) {
  debug_adaptor memory(std::pmr::new_delete_resource(), {.flags = antagonism});
  void* p = memory.reallocate(nullptr, 0, 100, 64);
  for (unsigned i = 0; i < 100; ++i) bytes_of(p)[i] = std::byte{static_cast<unsigned char>(i)};
  for (const auto& [from, to] : {std::pair<std::size_t, std::size_t>{100, 300}, {300, 300}, {300, 20}, {20, 0}}) {
    void* const before = p;
    p = memory.reallocate(p, from, to, 64);
    EXPECT_NE(p, before);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(p) % 64, 0U);
    for (unsigned i = 0; i < std::min({from, to, std::size_t{100}}); ++i) {
      ASSERT_EQ(bytes_of(p)[i], std::byte{static_cast<unsigned char>(i)});
    }
  }
  memory.deallocate(p, 0, 64);
}

TEST(DebugCalls, AFailedReallocationLeavesTheOldBlockW2_12) {
  test::recording_resource below;
  test::failing_resource failing(&below);
  debug_adaptor memory(&failing, {.flags = paranoia});
  void* const p = memory.allocate(100);
  std::memset(p, 0x42, 100);
  failing.from(1);
  EXPECT_THROW(static_cast<void>(memory.reallocate(p, 100, 200)), std::bad_alloc);
  EXPECT_THROW(static_cast<void>(memory.reallocate(p, 100, std::size_t{0} - 20)), allocation_error);
  failing.never();
  EXPECT_TRUE(memory.owns(p));
  for (int i = 0; i < 100; ++i) ASSERT_EQ(bytes_of(p)[i], std::byte{0x42});
  EXPECT_EQ(memory.stats().live, 100U);
  EXPECT_EQ(memory.stats().failures, 2U);
  memory.deallocate(p, 100);
  EXPECT_EQ(memory.misuses(), 0U);
}

// D2-13: in the handler the memory is used by this thread and by another; with a lock held, either would wait for ever.
TEST(DebugCalls, AHandlerMayUseTheMemoryAndHoldsUpNobodyD2_13) {
  struct context {
    std::pmr::memory_resource* memory = nullptr;
    int calls = 0;
    static void use(void* self, const misuse& /*what*/) {
      auto* const c = static_cast<context*>(self);
      ++c->calls;
      c->memory->deallocate(c->memory->allocate(10), 10);
      std::thread([c] { c->memory->deallocate(c->memory->allocate(10), 10); }).join();
      int nothing = 0;
      c->memory->deallocate(&nothing, 4);  // misuse again: is counted, and does not come back here
    }
  } in_handler;
  debug_adaptor memory(
      std::pmr::new_delete_resource(),
      {.flags = paranoia, .when_misused = on_misuse::call, .handler = context::use, .argument = &in_handler});
  in_handler.memory = &memory;
  void* const p = memory.allocate(100);
  memory.deallocate(p, 99);
  EXPECT_EQ(in_handler.calls, 1);
  EXPECT_EQ(memory.misuses(), 2U);
  memory.deallocate(p, 100);
}

struct Raising : testing::Test {
  std::string message_of(auto&& call) {
    try {
      call();
    } catch (const misuse_error& e) {
      return e.sentence();
    }
    return "nothing was thrown";
  }
  debug_adaptor<> memory{std::pmr::new_delete_resource(), {.name = "orders", .when_misused = on_misuse::raise}};
  void* const p = memory.allocate(100);
};

TEST_F(Raising, AWrongCallLeavesTheMemoryUsable) {
  EXPECT_EQ(message_of([&] { memory.deallocate(p, 99); }),
            "a block comes back with another size than it was allocated with");
  EXPECT_EQ(message_of([&] { static_cast<void>(memory.reallocate(p, 99, 10)); }),
            "a block comes back with another size than it was allocated with");
  EXPECT_FALSE(memory.is_damaged());
  memory.deallocate(memory.allocate(10), 10);
  memory.deallocate(p, 100);
  EXPECT_EQ(message_of([&] { memory.deallocate(p, 100); }), "a block comes back that was deallocated before");
  EXPECT_EQ(memory.misuses(), 3U);
}

TEST_F(Raising, LeavesTheMemoryFreeAndMarkedAndLaterCallsSaySoW2_13) {
  bytes_of(p)[100] ^= std::byte{1};
  EXPECT_EQ(message_of([&] { memory.deallocate(p, 100); }), "a block was written beyond its end");
  EXPECT_TRUE(memory.is_damaged());
  std::thread([&] {  // would wait for ever for a lock that is held
    EXPECT_TRUE(memory.owns(p));
    EXPECT_EQ(memory.stats().live_blocks, 1U);
  })
      .join();
  EXPECT_EQ(message_of([&] { static_cast<void>(memory.allocate(1)); }), damaged);
  EXPECT_EQ(message_of([&] { memory.deallocate(p, 100); }), damaged);
  EXPECT_EQ(message_of([&] { static_cast<void>(memory.reallocate(p, 100, 1)); }), damaged);
  EXPECT_EQ(message_of([&] { static_cast<void>(memory.usable_size(p)); }), damaged);
  EXPECT_EQ(message_of([&] { memory.trim(); }), damaged);
  EXPECT_EQ(memory.stats().live_blocks, 1U);
  EXPECT_STREQ(memory.check().sentence, "a block was written beyond its end");
  bytes_of(p)[100] ^= std::byte{1};
  EXPECT_STREQ(memory.check().sentence, damaged);
  memory.forgive();
  EXPECT_FALSE(memory.check().found());
  memory.deallocate(p, 100);
}

TEST(DebugCalls, CountingRefusesWithoutAnyNoise) {
  debug_adaptor memory(std::pmr::new_delete_resource(), {.name = "orders", .when_misused = on_misuse::count});
  void* const p = memory.allocate(100);
  for (int i = 0; i < 5; ++i) memory.deallocate(p, 99);
  EXPECT_EQ(memory.misuses(), 5U);
  bytes_of(p)[-1] ^= std::byte{1};
  memory.deallocate(p, 100);
  EXPECT_EQ(memory.misuses(), 6U);
  try {
    static_cast<void>(memory.allocate(8));
    ADD_FAILURE() << "nothing was thrown";
  } catch (const allocation_error& e) {
    EXPECT_STREQ(e.what(), "strata: orders cannot allocate 8 bytes aligned to 16: misuse was found, and reported");
  }
  EXPECT_EQ(memory.stats().failures, 1U);
  memory.forgive();
  memory.deallocate(p, 100);
}

TEST(DebugCalls, LeaksAreReportedAtTheEndUnlessToldNotTo) {
  kept_misuses reports;
  std::pmr::monotonic_buffer_resource below;
  const auto with = [&](bool told) {
    debug_adaptor memory(&below, {.when_misused = on_misuse::call,
                                  .handler = kept_misuses::keep<misuse>,
                                  .argument = &reports,
                                  .live_at_end_is_misuse = told});
    for (std::size_t i = 1; i <= 3; ++i) static_cast<void>(memory.allocate(i * 10));
  };
  with(false);
  EXPECT_TRUE(reports.seen.empty());
  with(true);
  ASSERT_EQ(reports.seen.size(), 1U);
  EXPECT_EQ(reports.last(), "destroyed with live blocks: nobody gives them back any more");
  EXPECT_EQ(reports.seen[0].count, 3U);
  EXPECT_EQ(reports.seen[0].bytes, 60U);
  EXPECT_EQ(reports.seen[0].block_bytes, 10U);
  EXPECT_GT(reports.seen[0].allocated_depth, 0U);
}

TEST(DebugCalls, WhatIsHeldIsLookedAtAndGivenBackAtTheEnd) {
  kept_misuses reports;
  test::recording_resource below;
  const auto with = [&](bool write) {
    debug_adaptor memory(&below, {.flags = noreuse,
                                  .when_misused = on_misuse::call,
                                  .handler = kept_misuses::keep<misuse>,
                                  .argument = &reports});
    const std::array<void*, 2> blocks{memory.allocate(100), memory.allocate(100)};
    for (void* const p : blocks) memory.deallocate(p, 100);
    if (write) *bytes_of(blocks[0]) ^= std::byte{1};
    return blocks;
  };
  with(false);
  EXPECT_TRUE(reports.seen.empty());
  EXPECT_EQ(below.live().blocks, 0U);
  const auto left = with(true);
  EXPECT_EQ(reports.last(), "a block was written after it was deallocated");
  EXPECT_EQ(below.live().blocks, 2U);  // after damage, nothing is touched any more
  for (void* const p : left) below.deallocate(bytes_of(p) - 16, 144, 16);
}

TEST(DebugCalls, ReportingTakesNothingFromTheHeap) {
  const auto nowhere = [](void*, const char*, std::size_t) noexcept {};
  const auto print = [](void*, const misuse& what) {
    print_misuse(what, text_sink([](void*, const char*, std::size_t) noexcept {}, nullptr));
  };
  std::array<std::byte, 4096> place;
  std::pmr::monotonic_buffer_resource below(place.data(), place.size(), std::pmr::null_memory_resource());
  ASSERT_TRUE(test::heap_is_watched());
  const test::counting_default watch;
  {
    debug_adaptor memory(&below, {.flags = verbosity | debugging | logging | noreuse | paranoia,
                                  .log_depth = 8,
                                  .print = text_sink(nowhere, nullptr),
                                  .log = text_sink(nowhere, nullptr),
                                  .when_misused = on_misuse::call,
                                  .handler = print,
                                  .live_at_end_is_misuse = false});
    void* const p = memory.allocate(100);
    memory.deallocate(p, 90);
    memory.deallocate(bytes_of(p) + 1, 90);
    memory.deallocate(place.data(), 90);
    memory.deallocate(p, 100);
    memory.deallocate(p, 100);
    *bytes_of(p) ^= std::byte{1};
    memory.trim();
    EXPECT_EQ(memory.misuses(), 5U);
  }
  const test::heap_use used = watch.used();
  EXPECT_EQ(used.malloc + used.operator_new + used.default_resource, 0U);
}

}  // namespace
}  // namespace strata::pmr
