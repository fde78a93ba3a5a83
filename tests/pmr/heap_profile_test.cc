// SPDX-License-Identifier: Apache-2.0
// Claims: a refused write, at any point, and refused memory are told; a profile of nothing is one; two sources, of two
// periods, go into one file; writing asks no heap when functions are not named. (What is in the file, and that others can
// read it: profile_readers_test.py.)
#include <gtest/gtest.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <memory_resource>

#include "tests/os_script/os_script.h"
#include "tests/support/counting_default.h"

import strata.mem;
import strata.pmr;

namespace strata::pmr {
namespace {

using test::os_call;
using test::os_script;

struct HeapProfile : testing::Test {
  stack<pages, heap, tracking> memory{pages{}, heap{}, tracking{.leaks_at_end = false}};
  HeapProfile() {
    for (std::size_t i = 0; i < 10; ++i) static_cast<void>(memory.allocate(100 * i));
  }
};

TEST_F(HeapProfile, TellsARefusedWrite) {
  std::FILE* const full = std::fopen("/dev/full", "w");
  ASSERT_NE(full, nullptr);
  EXPECT_EQ(memory.top().write_profile(full).code, ENOSPC);
  std::fclose(full);
}

TEST_F(HeapProfile, TellsRefusedMemory) {
  std::FILE* const file = std::tmpfile();
  unsigned refused = 0;
  const unsigned met = test::fail_each(
      os_call::mmap, {ENOMEM}, [&](const os_script&) { refused += memory.top().write_profile(file).failed() ? 1 : 0; });
  EXPECT_EQ(refused, met);
  EXPECT_GE(met, 2U);  // zlib's, and of addresses that were written
  std::fclose(file);
}

TEST_F(HeapProfile, OfNothingIsOne) {
  std::FILE* const file = std::tmpfile();
  EXPECT_FALSE(write_heap_profile(file, {}).failed());
  EXPECT_GT(std::ftell(file), 50);
  std::fclose(file);
}

TEST_F(HeapProfile, HasRoomForTwoSources) {
  tracking_adaptor other(std::pmr::new_delete_resource(), {.sample_bytes = 4096});
  const profile_source* const both[] = {&memory.top(), &other};
  std::FILE* const file = std::tmpfile();
  EXPECT_FALSE(write_heap_profile(file, both).failed());
  std::fclose(file);
}

TEST_F(HeapProfile, AsksNoHeap) {
  std::FILE* const file = std::tmpfile();
  std::array<char, 1 << 16> buffer;
  std::setvbuf(file, buffer.data(), _IOFBF, buffer.size());
  const os_script script;
  {
    const test::counting_default heap;
    EXPECT_FALSE(memory.top().write_profile(file).failed());
    EXPECT_EQ(heap.used(), test::heap_use{});
  }
  EXPECT_EQ(script.mapped_bytes(), 0U);
  std::fclose(file);
}

}  // namespace
}  // namespace strata::pmr
