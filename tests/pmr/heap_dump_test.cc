// SPDX-License-Identifier: Apache-2.0
// Claims: a dump has a line for each arena and each block, in address order, with state, size and what was asked for; the
// blocks of an arena follow one another without a gap; its end says how many there were; names are escaped.
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <sstream>
#include <string>
#include <vector>

#include "tests/support/recording_resource.h"

import strata.mem;
import strata.pmr;

namespace strata::pmr {
namespace {

struct silent : block_owner {
  void moved(void*, void*) override {}
};

std::string dump_of(const heap_resource<>& memory) {
  char* text = nullptr;
  std::size_t size = 0;
  std::FILE* const out = open_memstream(&text, &size);
  memory.dump(out);
  std::fclose(out);
  std::string result(text, size);
  std::free(text);
  return result;
}

TEST(HeapDump, HasALineForEachArenaAndBlock) {
  test::recording_resource upstream;
  heap_resource<> memory(&upstream, {.name = "my heap=50%", .min_arena = 64 * 1024, .max_arena = 64 * 1024});
  silent owner;
  void* const a = memory.allocate(100);
  void* const m = memory.allocate_movable(200, 16, owner);
  void* const k = memory.allocate(50);
  void* const f = memory.allocate(5000);
  void* const b = memory.allocate_aligned(30, 64, 3);
  void* const big = memory.allocate(60'000);
  memory.deallocate(k, 50);
  memory.deallocate(f, 5000);

  std::istringstream lines(dump_of(memory));
  std::string word;
  std::string line;
  std::getline(lines, line);
  EXPECT_EQ(line, "strata-heap 1 my%20heap%3D50%25");
  std::size_t arenas = 0;
  std::size_t blocks = 0;
  std::size_t next = 0;
  std::vector<std::string> states;
  const bool waits = mem::inspected();  // what was deallocated is the heap's only later
  while (std::getline(lines, line)) {
    std::istringstream fields(line);
    std::string at;
    std::size_t bytes = 0;
    std::size_t asked = 0;
    fields >> word >> at >> bytes;
    if (word == "end") {
      EXPECT_EQ(line, "end " + std::to_string(arenas) + " " + std::to_string(blocks));
      continue;
    }
    const std::size_t address = std::stoull(at, nullptr, 16);
    if (word == "arena") {
      ++arenas;
      next = 0;
      continue;
    }
    fields >> asked;
    ++blocks;
    if (next != 0) EXPECT_EQ(address, next) << line;
    next = address + bytes;
    states.push_back(word);
    if (address == reinterpret_cast<std::uintptr_t>(a)) EXPECT_EQ(word + std::to_string(asked), "used100");
    if (address == reinterpret_cast<std::uintptr_t>(m)) EXPECT_EQ(word + std::to_string(asked), "movable200");
    if (address == reinterpret_cast<std::uintptr_t>(k))
      EXPECT_EQ(word + std::to_string(asked), waits ? "used50" : "kept0");
    if (address == reinterpret_cast<std::uintptr_t>(f))
      EXPECT_EQ(word + std::to_string(asked), waits ? "used5000" : "free0");
  }
  EXPECT_EQ(arenas, 2U);
  EXPECT_GE(blocks, 7U);
  memory.deallocate(a, 100);
  memory.deallocate(m, 200);
  memory.deallocate(b, 30);
  memory.deallocate(big, 60'000);
}

TEST(HeapDump, OfNothingIsAHeadAndAnEnd) {
  test::recording_resource upstream;
  const heap_resource<> memory(&upstream);
  EXPECT_EQ(dump_of(memory), "strata-heap 1 heap\nend 0 0\n");
}

}  // namespace
}  // namespace strata::pmr
