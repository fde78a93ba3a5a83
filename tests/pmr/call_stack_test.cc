// SPDX-License-Identifier: Apache-2.0
// Claims: a stack begins with the caller asked for and leads outwards; depth is kept; what is not on the stack leaves just
// itself; functions are named, unknown code is not; each thread has a number of its own, for ever; nothing of it takes
// memory from the heap.
#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <thread>

#include "tests/support/counting_default.h"

import strata.pmr;

// Plain names, not inlined: to be found in a stack. What they return is changed, so that no call becomes a jump.
extern "C" {
[[gnu::noinline]] std::size_t strata_test_inner(std::span<const void*> frames) {
  return strata::pmr::capture_stack(frames, __builtin_return_address(0)) + 1;
}
[[gnu::noinline]] std::size_t strata_test_middle(std::span<const void*> frames) {
  return strata_test_inner(frames) + 1;
}
[[gnu::noinline]] std::size_t strata_test_outer(std::span<const void*> frames) {
  return strata_test_middle(frames) - 2;
}
}

namespace strata::pmr {
namespace {

std::string name_of(const void* frame) {
  std::array<char, 256> name;
  return name_function(frame, name) ? name.data() : "";
}

TEST(CallStack, BeginsWithTheCallerAndLeadsOutwards) {
  std::array<const void*, 8> frames{};
  ASSERT_GE(strata_test_outer(frames), 2U);
  EXPECT_EQ(name_of(frames[0]), "strata_test_middle");
  EXPECT_EQ(name_of(frames[1]), "strata_test_outer");
}

TEST(CallStack, KeepsToItsDepth) {
  std::array<const void*, 8> frames{};
  EXPECT_EQ(strata_test_outer(std::span(frames).first(1)), 1U);
  EXPECT_EQ(name_of(frames[0]), "strata_test_middle");
  EXPECT_EQ(frames[1], nullptr);
  EXPECT_EQ(strata_test_outer({}), 0U);
  EXPECT_EQ(capture_stack(frames, nullptr), 0U);
}

TEST(CallStack, OfWhatIsNotOnTheStackIsThatAlone) {
  std::array<const void*, 8> frames{};
  const int elsewhere = 0;
  EXPECT_EQ(capture_stack(frames, &elsewhere), 1U);
  EXPECT_EQ(frames[0], &elsewhere);
}

TEST(CallStack, NamesNothingThatIsNoCode) {
  std::array<char, 16> name;
  name.fill('x');
  EXPECT_FALSE(name_function(reinterpret_cast<const void*>(16), name));
  EXPECT_STREQ(name.data(), "");
}

TEST(CallStack, TakesNothingFromTheHeap) {
  std::array<const void*, max_stack_depth> frames{};
  ASSERT_TRUE(test::heap_is_watched());
  const test::counting_default watch;
  const std::size_t depth = strata_test_outer(frames);
  std::array<char, 256> name;
  for (const void* const frame : std::span(frames).first(depth)) static_cast<void>(name_function(frame, name));
  const test::heap_use used = watch.used();
  EXPECT_EQ(used.malloc + used.operator_new, 0U);
}

TEST(CallStack, NumbersThreadsForEver) {
  const std::uint32_t mine = this_thread_serial();
  EXPECT_NE(mine, 0U);
  EXPECT_EQ(this_thread_serial(), mine);
  std::uint32_t before = mine;
  for (int i = 0; i < 3; ++i) {
    std::uint32_t its = 0;
    std::thread([&its] { its = this_thread_serial(); }).join();
    EXPECT_GT(its, before);
    before = its;
  }
}

}  // namespace
}  // namespace strata::pmr
