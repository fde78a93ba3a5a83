// SPDX-License-Identifier: Apache-2.0
// Claims: every overrun and underrun by one byte, at every size, of every value that changes memory, is found by check(),
// by reallocation and by deallocation (W2-05, D2-12); one zero after the end is told and tolerated where that is asked
// for, anything else is not (W2-05); the patterns are exact in all three states (W2-06, D2-03); what was deallocated is
// not handed out again, a write to it is found, and it goes oldest first, after a look (W2-07, D2-05); with paranoia,
// damage below and damage here is found by the very next call, whichever it is (W2-08); flags are switched while it runs;
// figures add up; every block is shown; an upstream's release() is passed on; misuse by several threads is told apart;
// a child of fork() can go on.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory_resource>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/pmr/watched_memory.h"
#include "tests/support/recording_resource.h"
#include "tests/support/sanitizer.h"

import strata.mem;
import strata.pmr;

namespace strata::pmr {
namespace {

using enum debug_flags;

constexpr const char* overrun = "a block was written beyond its end";
constexpr const char* underrun = "a block was written before its start";
constexpr const char* written_after_free = "a block was written after it was deallocated";

std::byte* bytes_of(void* p) { return static_cast<std::byte*>(p); }

std::uint32_t word_at(const std::byte* p) {
  std::uint32_t word = 0;
  std::memcpy(&word, p, sizeof word);
  return word;
}

std::string sentence(const fault& found) { return found.found() ? found.sentence : ""; }

// Under a sanitizer not every value is tried: what is to be seen is the same, only slower.
std::vector<unsigned> values() {
  std::vector<unsigned> all;
  const unsigned step = test::under_asan || test::under_tsan || test::under_ubsan ? 51 : 1;
  for (unsigned v = 0; v < 256; v += step) all.push_back(v);
  return all;
}

TEST(DebugAdaptor, FindsAnyByteBeyondTheEndAtEverySizeW2_05) {
  debug_adaptor memory(std::pmr::new_delete_resource(),
                       {.remembered = 0, .stack_depth = 0, .when_misused = on_misuse::count});
  const std::vector<unsigned> tried = values();
  std::size_t expected = 0;
  for (std::size_t bytes = 0; bytes <= 4096; ++bytes) {
    void* const p = memory.allocate(bytes, 8);
    std::byte* const behind = bytes_of(p) + bytes;
    const std::byte was = *behind;
    for (const unsigned value : tried) {
      if (std::byte{static_cast<unsigned char>(value)} == was) continue;  // changes nothing
      *behind = std::byte{static_cast<unsigned char>(value)};
      ASSERT_STREQ(memory.check(p).sentence, overrun) << bytes << " " << value;
      memory.deallocate(p, bytes, 8);
      ASSERT_EQ(memory.misuses(), ++expected) << bytes << " " << value;
      ASSERT_TRUE(memory.is_damaged());
      memory.forgive();
      ASSERT_EQ(*behind, was);
    }
    *behind = ~was;
    ASSERT_STREQ(memory.check().sentence, overrun);
    ASSERT_THROW(static_cast<void>(memory.reallocate(p, bytes, bytes + 1, 8)), allocation_error);
    ASSERT_EQ(memory.misuses(), ++expected);
    memory.forgive();
    ASSERT_FALSE(memory.check().found());
    memory.deallocate(p, bytes, 8);
    ASSERT_EQ(memory.stats().live_blocks, 0U);
  }
  ASSERT_EQ(memory.misuses(), expected);
}

TEST(DebugAdaptor, ReallocationFindsAnyByteBeyondTheEndW2_05) {
  debug_adaptor memory(std::pmr::new_delete_resource(),
                       {.remembered = 0, .stack_depth = 0, .when_misused = on_misuse::count});
  std::size_t expected = 0;
  for (std::size_t bytes = 0; bytes <= 4096; bytes += bytes < 64 ? 1 : 61) {
    void* const p = memory.allocate(bytes, 8);
    std::byte* const behind = bytes_of(p) + bytes;
    const std::byte was = *behind;
    for (const unsigned value : values()) {
      if (std::byte{static_cast<unsigned char>(value)} == was) continue;
      *behind = std::byte{static_cast<unsigned char>(value)};
      ASSERT_THROW(static_cast<void>(memory.reallocate(p, bytes, bytes, 8)), allocation_error);
      ASSERT_EQ(memory.misuses(), ++expected) << bytes << " " << value;
      memory.forgive();
    }
    memory.deallocate(p, bytes, 8);
  }
}

// D2-12: no byte of either pad may be skipped, and no value stands for "untouched".
TEST(DebugAdaptor, FindsAByteAnywhereInEitherPadW2_05) {
  debug_adaptor memory(std::pmr::new_delete_resource(), {.pad = 48, .when_misused = on_misuse::count});
  for (const std::size_t bytes : {0U, 1U, 5U, 16U, 100U}) {
    void* const p = memory.allocate(bytes, 16);
    for (std::ptrdiff_t i = -48; i < static_cast<std::ptrdiff_t>(bytes) + 48; ++i) {
      if (i >= 0 && i < static_cast<std::ptrdiff_t>(bytes)) continue;
      std::byte* const at = bytes_of(p) + i;
      const std::byte was = *at;
      for (unsigned value = 0; value < 256; ++value) {
        *at = std::byte{static_cast<unsigned char>(value)};
        const fault found = memory.check(p);
        ASSERT_EQ(found.found(), *at != was) << i << " " << value;
        if (found.found()) {
          ASSERT_STREQ(found.sentence, i < 0 ? underrun : overrun);
          ASSERT_EQ(found.where, p);
        }
      }
      *at = was;
    }
    memory.deallocate(p, bytes, 16);
  }
  EXPECT_EQ(memory.misuses(), 0U);
}

// D2-12: what fits one memory, or one place, does not fit another.
TEST(DebugAdaptor, HasPadsThatCannotBeForgedByAccident) {
  std::pmr::monotonic_buffer_resource below(1 << 20);
  debug_adaptor one(&below, {});
  debug_adaptor other(&below, {});
  void* const p = one.allocate(64, 16);
  void* const q = one.allocate(64, 16);
  void* const r = other.allocate(64, 16);
  EXPECT_NE(std::memcmp(bytes_of(p) - 16, bytes_of(q) - 16, 16), 0);
  EXPECT_NE(std::memcmp(bytes_of(p) - 16, bytes_of(p) + 64, 16), 0);
  EXPECT_NE(std::memcmp(bytes_of(p) - 16, bytes_of(r) - 16, 16), 0);
  one.deallocate(p, 64, 16);
  one.deallocate(q, 64, 16);
  other.deallocate(r, 64, 16);
}

TEST(DebugAdaptor, ToleratesASingleZeroAfterTheEndAndTellsOnceW2_05) {
  kept_lines out;
  debug_adaptor memory(std::pmr::new_delete_resource(), {.name = "orders",
                                                         .flags = tolerance,
                                                         .print = text_sink(kept_lines::keep, &out),
                                                         .when_misused = on_misuse::count});
  for (std::size_t bytes = 0; bytes < 40; ++bytes) {
    void* const p = memory.allocate(bytes, 1);
    bytes_of(p)[bytes] = std::byte{0};
    EXPECT_FALSE(memory.check().found());
    EXPECT_FALSE(memory.check(p).found());
    ASSERT_FALSE(out.lines.empty()) << bytes;
    EXPECT_EQ(out.lines[0].find("strata: orders: a zero was written right after a block's end: tolerated (block 0x"),
              0U)
        << out.lines[0];
    const std::size_t told = out.lines.size();
    memory.deallocate(p, bytes, 1);
    EXPECT_EQ(memory.misuses(), 0U);
    EXPECT_EQ(out.lines.size(), told);
    out.lines.clear();

    void* const q = memory.allocate(bytes, 1);
    bytes_of(q)[bytes] = std::byte{0};
    void* const larger = memory.reallocate(q, bytes, bytes + 1, 1);  // tells without being asked
    EXPECT_FALSE(out.lines.empty());
    memory.deallocate(larger, bytes + 1, 1);
    out.lines.clear();
  }
  EXPECT_EQ(memory.stats().live_blocks, 0U);
}

TEST(DebugAdaptor, ToleratesNothingElseW2_05) {
  debug_adaptor memory(std::pmr::new_delete_resource(), {.flags = tolerance, .when_misused = on_misuse::count});
  void* const p = memory.allocate(10, 1);
  const auto found_with = [&](std::ptrdiff_t at, std::vector<unsigned char> written) {
    std::memcpy(bytes_of(p) + at, written.data(), written.size());
    const std::string found = sentence(memory.check(p));
    memory.forgive();
    return found;
  };
  EXPECT_EQ(found_with(10, {0}), "");
  EXPECT_EQ(found_with(10, {0, 0}), overrun);
  EXPECT_EQ(found_with(10, {1}), overrun);
  EXPECT_EQ(found_with(11, {0}), overrun);
  EXPECT_EQ(found_with(-1, {0}), underrun);
  memory.set_flags(none);
  EXPECT_EQ(found_with(10, {0}), overrun);
  memory.deallocate(p, 10, 1);
}

// Keeps what a block looked like when it came back, pads and all.
class last_look final : public std::pmr::memory_resource {
 public:
  std::vector<std::byte> seen;
  const std::byte* at = nullptr;

 private:
  void* do_allocate(std::size_t bytes, std::size_t alignment) override {
    return std::pmr::new_delete_resource()->allocate(bytes, alignment);
  }
  void do_deallocate(void* p, std::size_t bytes, std::size_t alignment) override {
    at = static_cast<const std::byte*>(p);
    seen.assign(at, at + bytes);
    std::pmr::new_delete_resource()->deallocate(p, bytes, alignment);
  }
  [[nodiscard]] bool do_is_equal(const std::pmr::memory_resource& other) const noexcept override {
    return this == &other;
  }
};

// D2-03: no byte fill overwrites the pattern, and it is the block's address that is in it.
TEST(DebugAdaptor, FillsWithTheExactPatternsOfAntagonismW2_06) {
  last_look below;
  debug_adaptor memory(&below, {.flags = antagonism});
  for (const std::size_t alignment : {1U, 4U, 16U, 64U, 512U}) {
    for (std::size_t bytes = 0; bytes < 200; ++bytes) {
      void* const p = memory.allocate(bytes, alignment);
      const auto low = static_cast<std::uint32_t>(reinterpret_cast<std::uintptr_t>(p) & 0xFFFF'FFFFU);
      const std::byte* const block = bytes_of(p);
      for (std::size_t i = 0; i + 4 <= bytes; i += 4) ASSERT_EQ(word_at(block + i), low ^ 0xF900'0000U);
      const std::uint32_t new_word = low ^ 0xF900'0000U;
      ASSERT_EQ(std::memcmp(block + bytes / 4 * 4, &new_word, bytes % 4), 0);
      const std::size_t front = std::max<std::size_t>(alignment, 16);
      for (std::size_t i = front; i > 16; i -= 4) ASSERT_EQ(word_at(block - i), low ^ 0xF100'0000U) << i;
      memory.deallocate(p, bytes, alignment);
      ASSERT_EQ(below.at, block - front);
      for (std::size_t i = 0; i + 4 <= bytes; i += 4) ASSERT_EQ(word_at(&below.seen[front + i]), low ^ 0xF700'0000U);
    }
  }
}

// The example of the manual, S2-25, with the block at such an address.
TEST(DebugAdaptor, FillsABlockAt12345WithF9012345) {
  constexpr std::uintptr_t place = 0x5432'0001'0000;
  constexpr std::size_t length = 0x10000;
  void* const memory_there = ::mmap(reinterpret_cast<void*>(place), length, PROT_READ | PROT_WRITE,
                                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  if (memory_there == MAP_FAILED) GTEST_SKIP() << "that address is taken";
  struct one_block final : std::pmr::memory_resource {
    explicit one_block(void* place) : start(place) {}
    void* do_allocate(std::size_t, std::size_t) override { return start; }
    void do_deallocate(void*, std::size_t, std::size_t) override {}
    [[nodiscard]] bool do_is_equal(const std::pmr::memory_resource& other) const noexcept override {
      return this == &other;
    }
    void* start;
  } below(bytes_of(memory_there) + 0x2345 - 16);
  {
    debug_adaptor memory(&below, {.flags = antagonism});
    void* const p = memory.allocate(8, 1);
    ASSERT_EQ(reinterpret_cast<std::uintptr_t>(p) & 0xFFFF'FFFFU, 0x12345U);
    EXPECT_EQ(word_at(bytes_of(p)), 0xF901'2345U);
    EXPECT_EQ(word_at(bytes_of(p) + 4), 0xF901'2345U);
    memory.deallocate(p, 8, 1);
    EXPECT_EQ(word_at(bytes_of(p)), 0xF701'2345U);
  }
  ASSERT_EQ(::munmap(memory_there, length), 0);
}

TEST(DebugAdaptor, FindsWritesIntoWhatIsUnallocatedUnderAntagonism) {
  debug_adaptor memory(std::pmr::new_delete_resource(), {.flags = antagonism, .when_misused = on_misuse::count});
  void* const p = memory.allocate(100, 256);
  for (const std::ptrdiff_t at : {-256, -200, -17}) {
    bytes_of(p)[at] ^= std::byte{1};
    EXPECT_STREQ(memory.check(p).sentence, underrun) << at;
    bytes_of(p)[at] ^= std::byte{1};
  }
  EXPECT_FALSE(memory.check().found());
  memory.deallocate(p, 100, 256);
  EXPECT_EQ(memory.misuses(), 0U);
}

TEST(DebugAdaptor, HandsOutNoAddressTwiceUnderNoreuseW2_07) {
  test::recording_resource below;
  debug_adaptor memory(&below, {.flags = noreuse, .when_misused = on_misuse::count});
  std::set<void*> seen;
  for (int i = 0; i < 1000; ++i) {
    const std::size_t bytes = 1 + static_cast<std::size_t>(i) % 5 * 24;
    void* const p = memory.allocate(bytes);
    ASSERT_TRUE(seen.insert(p).second) << i;
    memory.deallocate(p, bytes);
  }
  EXPECT_EQ(memory.stats().live, 0U);
  EXPECT_EQ(memory.stats().kept, memory.stats().upstream);
  EXPECT_EQ(below.live().blocks, 1000U);
  const std::size_t kept = memory.stats().kept;
  EXPECT_EQ(memory.trim(), kept);
  EXPECT_EQ(below.live().blocks, 0U);
}

TEST(DebugAdaptor, FindsAWriteToWhatWasDeallocatedW2_07) {
  kept_misuses reports;
  debug_adaptor memory(
      std::pmr::new_delete_resource(),
      {.flags = noreuse, .when_misused = on_misuse::call, .handler = kept_misuses::keep<misuse>, .argument = &reports});
  void* const p = memory.allocate(100);
  memory.deallocate(p, 100);
  for (std::size_t at = 0; at < 100; ++at) {
    bytes_of(p)[at] ^= std::byte{0x10};
    EXPECT_STREQ(memory.check().sentence, written_after_free);
    EXPECT_EQ(memory.check().where, p);
    bytes_of(p)[at] ^= std::byte{0x10};
  }
  bytes_of(p)[-1] ^= std::byte{1};
  EXPECT_STREQ(memory.check().sentence, underrun);
  bytes_of(p)[-1] ^= std::byte{1};
  EXPECT_FALSE(memory.check().found());
  memory.deallocate(p, 100);
  EXPECT_EQ(reports.last(), "a block comes back that was deallocated before");
  EXPECT_FALSE(memory.is_damaged());
  bytes_of(p)[3] = std::byte{7};
  EXPECT_EQ(memory.trim(), 0U);
  EXPECT_EQ(reports.last(), written_after_free);
  EXPECT_EQ(reports.seen.back().where, bytes_of(p) + 3);
  memory.forgive();
  EXPECT_GT(memory.trim(), 0U);
}

TEST(DebugAdaptor, LetsTheOldestGoFirstAndLooksAtItW2_07) {
  debug_adaptor memory(std::pmr::new_delete_resource(),
                       {.flags = noreuse, .hold_bytes = 1024, .when_misused = on_misuse::count});
  std::vector<void*> blocks;
  for (int i = 0; i < 20; ++i) blocks.push_back(memory.allocate(96));  // 128 with pads: eight are held
  for (void* const p : blocks) memory.deallocate(p, 96);
  EXPECT_EQ(memory.stats().kept, 1024U);
  std::vector<const void*> held;
  memory.walk([&](const debug_block& each) {
    EXPECT_FALSE(each.live);
    held.push_back(each.what.pointer);
  });
  ASSERT_EQ(held.size(), 8U);
  for (const void* const p : held) EXPECT_GE(std::ranges::find(blocks, p) - blocks.begin(), 12);
  *bytes_of(blocks[12]) ^= std::byte{1};
  void* const another = memory.allocate(96);
  EXPECT_EQ(memory.misuses(), 0U);
  memory.deallocate(another, 96);  // the thirteenth would have to go
  EXPECT_EQ(memory.misuses(), 1U);
  EXPECT_TRUE(memory.is_damaged());
  memory.forgive();
  void* const large = memory.allocate(2000);  // larger than all that is held: goes at once
  memory.deallocate(large, 2000);
  EXPECT_EQ(memory.stats().live_blocks, 0U);
}

// D2-05: the fill ends where an aligned block ends.
TEST(DebugAdaptor, FillsAnAlignedBlockAndNothingBeyondUnderNoreuse) {
  debug_adaptor memory(std::pmr::new_delete_resource(), {.flags = noreuse, .when_misused = on_misuse::count});
  for (const std::size_t alignment : {32U, 256U, 4096U}) {
    void* const p = memory.allocate(alignment + 3, alignment);
    void* const q = memory.allocate(alignment + 3, alignment);
    std::memset(q, 0x33, alignment + 3);
    memory.deallocate(p, alignment + 3, alignment);
    EXPECT_FALSE(memory.check().found());
    for (std::size_t i = 0; i < alignment + 3; ++i) ASSERT_EQ(bytes_of(q)[i], std::byte{0x33});
    memory.deallocate(q, alignment + 3, alignment);
  }
  memory.trim();
  EXPECT_EQ(memory.misuses(), 0U);
  EXPECT_EQ(memory.stats().upstream, 0U);
}

// Every public entry of a memory over a heap, so that release() is one of them.
struct Paranoia : testing::Test {
  using heap_type = heap_resource<>;
  using memory_type = debug_adaptor<heap_type>;

  Paranoia() {
    for (void*& p : blocks) p = memory.allocate(100);
    memory.deallocate(blocks[1], 100);  // free below, between two that are used
  }
  ~Paranoia() override {
    memory.deallocate(blocks[0], 100);
    memory.deallocate(blocks[2], 100);
  }

  std::vector<std::pair<const char*, std::function<void()>>> entries() {
    return {{"allocate",
             [&] {
               try {
                 static_cast<void>(memory.allocate(8));
               } catch (const allocation_error&) {
               }
             }},
            {"deallocate", [&] { memory.deallocate(blocks[2], 100); }},
            {"reallocate",
             [&] {
               try {
                 static_cast<void>(memory.reallocate(blocks[2], 100, 200));
               } catch (const allocation_error&) {
               }
             }},
            {"usable_size", [&] { static_cast<void>(memory.usable_size(blocks[2])); }},
            {"trim", [&] { memory.trim(); }},
            {"release", [&] { memory.release(); }}};
  }

  // With this byte changed, each entry reports this sentence, and check() finds it; then it is as before.
  void expect_found(std::byte* at, const std::string& expected, const std::string& checked) {
    for (const auto& [name, call] : entries()) {
      SCOPED_TRACE(name);
      const std::byte was = *at;
      *at ^= std::byte{0x20};
      EXPECT_EQ(sentence(memory.check()), checked);
      const std::size_t before = reports.seen.size();
      call();
      EXPECT_EQ(reports.seen.size(), before + 1);
      EXPECT_EQ(reports.last(), expected);
      EXPECT_TRUE(memory.is_damaged());
      *at = was;
      memory.forgive();
      EXPECT_FALSE(memory.check().found());
      EXPECT_EQ(memory.stats().live_blocks, 2U);
    }
  }

  kept_misuses reports;
  heap_type below{std::pmr::new_delete_resource(), heap{.keep_freed = 0}};  // what is freed is joined at once
  memory_type memory{&below,
                     {.flags = paranoia,
                      .when_misused = on_misuse::call,
                      .handler = kept_misuses::keep<misuse>,
                      .argument = &reports}};
  void* blocks[3] = {};
};

// Of the heap's blocks below: the word in front of a used one; the two links and the size at the end of a free one. The
// heap's payload begins 16 bytes before the block, where the pad does.
TEST_F(Paranoia, FindsDamageBelowAtTheNextCallW2_08) {
  if (mem::inspected()) GTEST_SKIP() << "the heap's words are hidden: an inspector reports the damage when it is done";
  ASSERT_FALSE(memory.check().found());
  const std::string below_damaged = "the memory below is damaged";
  std::byte* const used = bytes_of(blocks[0]) - 16;
  std::byte* const unused = bytes_of(blocks[1]) - 16;
  std::byte* tail = nullptr;  // the last eight bytes of the free block
  below.walk([&](const mem::heap_block& each) {
    if (each.payload == unused && !each.used && !each.kept) tail = unused - 8 + each.bytes - 8;
  });
  ASSERT_NE(tail, nullptr);
  for (const auto& [what, at] :
       {std::pair{"header", used - 8}, std::pair{"header of a free one", unused - 8}, std::pair{"next", unused},
        std::pair{"previous", unused + 8}, std::pair{"tail", tail}}) {
    SCOPED_TRACE(what);
    *at ^= std::byte{0x20};
    const std::string checked = sentence(below.check());
    *at ^= std::byte{0x20};
    ASSERT_NE(checked, "");
    expect_found(at, below_damaged, checked);
    EXPECT_EQ(reports.seen.back().detail, checked);
  }
}

TEST_F(Paranoia, FindsDamageOfAnyBlockAtTheNextCallW2_08) {
  expect_found(bytes_of(blocks[0]) + 100, overrun, overrun);
  expect_found(bytes_of(blocks[0]) - 1, underrun, underrun);
}

TEST_F(Paranoia, IsSilentWhereNothingIsWrong) {
  for (int i = 0; i < 100; ++i) {
    void* p = memory.allocate(static_cast<std::size_t>(i));
    p = memory.reallocate(p, static_cast<std::size_t>(i), 300);
    EXPECT_EQ(memory.usable_size(p), 300U);
    memory.deallocate(p, 300);
    memory.trim();
  }
  EXPECT_EQ(memory.misuses(), 0U);
}

TEST(DebugAdaptor, SwitchesFlagsWhileItRuns) {
  kept_lines out;
  debug_adaptor memory(
      std::pmr::new_delete_resource(),
      {.name = "orders", .print = text_sink(kept_lines::keep, &out), .log = text_sink(kept_lines::keep, &out)});
  EXPECT_EQ(memory.flags(), none);
  void* const p = memory.allocate(64);
  EXPECT_TRUE(out.lines.empty());
  memory.set_flags(logging);
  ASSERT_EQ(out.lines.size(), 1U);
  EXPECT_EQ(out.lines[0], "strata-log 1 orders\n");
  void* const q = memory.allocate(64);
  EXPECT_EQ(out.lines.size(), 3U);
  out.lines.clear();
  memory.set_flags(verbosity);
  memory.deallocate(q, 64);
  EXPECT_NE(out.all().find("orders before deallocate, call 3: orders has 128 bytes live in 2 blocks"),
            std::string::npos)
      << out.all();
  EXPECT_NE(out.all().find("orders after deallocate, call 3: orders has 64 bytes live in 1 blocks"), std::string::npos);
  EXPECT_NE(out.all().find(", 64 bytes aligned to 16, of call 1, live\n"), std::string::npos);
  out.lines.clear();
  memory.set_flags(debugging | noreuse);
  EXPECT_EQ(out.all(), "strata: orders: flags are now 72\n");
  out.lines.clear();
  memory.deallocate(p, 64);
  EXPECT_EQ(out.all(), "strata: orders: holds back a block, bytes: 96\n");
  memory.set_flags(none);
  EXPECT_EQ(memory.stats().kept, 96U);
  memory.trim();
  EXPECT_EQ(memory.stats().upstream, 0U);
}

TEST(DebugAdaptor, HasFiguresThatAddUp) {
  debug_adaptor memory(std::pmr::new_delete_resource(), {.flags = noreuse, .hold_bytes = 300});
  std::vector<void*> blocks;
  for (std::size_t i = 0; i < 20; ++i) {
    blocks.push_back(memory.allocate(i));
    const statistics s = memory.stats();
    EXPECT_EQ(s.upstream, s.live + s.kept + s.overhead);
    EXPECT_EQ(s.live_blocks, i + 1);
  }
  EXPECT_EQ(memory.stats().live, 190U);
  for (std::size_t i = 0; i < 20; ++i) {
    memory.deallocate(blocks[i], i);
    const statistics s = memory.stats();
    EXPECT_EQ(s.upstream, s.live + s.kept + s.overhead);
  }
  EXPECT_EQ(memory.stats().live, 0U);
  EXPECT_EQ(memory.stats().overhead, 0U);
  EXPECT_GT(memory.stats().kept, 0U);
  EXPECT_LE(memory.stats().kept, 300U);
  EXPECT_EQ(memory.stats().peak, 190U);
  EXPECT_EQ(memory.stats().allocations, 20U);
}

TEST(DebugAdaptor, ShowsEveryBlockToAVisitorThatMayUseTheMemory) {
  debug_adaptor memory(std::pmr::new_delete_resource(), {});
  std::set<const void*> expected;
  for (int i = 0; i < 100; ++i) expected.insert(memory.allocate(40));
  std::set<const void*> seen;
  memory.walk([&](const debug_block& each) {
    EXPECT_EQ(each.what.bytes, 40U);
    EXPECT_FALSE(each.what.allocated.stack.empty());
    if (each.live && expected.contains(each.what.pointer)) seen.insert(each.what.pointer);
    memory.deallocate(memory.allocate(1), 1);
  });
  EXPECT_EQ(seen, expected);
  for (const void* const p : expected) memory.deallocate(const_cast<void*>(p), 40);
}

TEST(DebugAdaptor, PassesReleaseOnAndKnowsWhatCameBefore) {
  kept_misuses reports;
  stack memory{pages{}, heap{},
               debug{.when_misused = on_misuse::call, .handler = kept_misuses::keep<misuse>, .argument = &reports}};
  static_assert(decltype(memory)::can_release && !decltype(memory)::thread_safe);
  void* const p = memory.allocate(100);
  memory.release();
  EXPECT_EQ(memory.stats().live, 0U);
  EXPECT_EQ(memory.stats().upstream, 0U);
  memory.deallocate(p, 100);  // use after release
  EXPECT_EQ(reports.last(), "a block comes back that was deallocated before");
  void* const q = memory.allocate(100);
  memory.deallocate(q, 100);
  EXPECT_EQ(reports.seen.size(), 1U);
}

TEST(DebugAdaptor, TellsDamageBeforeItReleases) {
  kept_misuses reports;
  stack memory{pages{}, heap{},
               debug{.when_misused = on_misuse::call, .handler = kept_misuses::keep<misuse>, .argument = &reports}};
  void* const p = memory.allocate(100);
  bytes_of(p)[100] ^= std::byte{1};
  memory.release();
  EXPECT_EQ(reports.last(), overrun);
  EXPECT_EQ(memory.stats().live_blocks, 1U);
  memory.top().forgive();
  memory.release();
  EXPECT_EQ(memory.stats().live_blocks, 0U);
}

TEST(DebugAdaptor, ServesThreadsWithItsFlagsUp) {
  stack memory{pages{}, slabs{},
               debug{.flags = antagonism | paranoia | noreuse | tolerance, .hold_bytes = 4096, .stack_depth = 4}};
  static_assert(decltype(memory)::thread_safe);
  std::vector<std::thread> crew;
  for (unsigned char n = 1; n <= 4; ++n) {
    crew.emplace_back([&memory, n] {
      std::vector<void*> mine;
      for (std::size_t i = 0; i < 300; ++i) {
        mine.push_back(memory.allocate(i % 100));
        std::memset(mine.back(), n, i % 100);
        if (i % 3 == 2) {
          const std::size_t victim = i / 3;
          const auto* const block = static_cast<unsigned char*>(mine[victim]);
          ASSERT_TRUE(std::all_of(block, block + victim % 100, [n](unsigned char c) { return c == n; }));
          memory.deallocate(mine[victim], victim % 100);
          mine[victim] = nullptr;
        }
      }
      for (std::size_t i = 0; i < mine.size(); ++i) {
        if (mine[i] != nullptr) memory.deallocate(mine[i], i % 100);
      }
    });
  }
  for (std::thread& each : crew) each.join();
  EXPECT_EQ(memory.top().misuses(), 0U);
  EXPECT_EQ(memory.stats().live_blocks, 0U);
  EXPECT_FALSE(memory.check().found());
}

TEST(DebugAdaptor, GoesOnInAChildOfFork) {
  stack memory{pages{}, slabs{}, debug{.flags = noreuse, .hold_bytes = 4096}};
  std::atomic<bool> done{false};
  std::thread busy([&] {
    while (!done) memory.deallocate(memory.allocate(100), 100);
  });
  for (int i = 0; i < 20; ++i) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      for (int k = 0; k < 10; ++k) memory.deallocate(memory.allocate(50), 50);
      ::_exit(memory.top().misuses() == 0 ? 0 : 1);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "child " << i;
  }
  done = true;
  busy.join();
}

}  // namespace
}  // namespace strata::pmr
