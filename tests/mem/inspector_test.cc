// SPDX-License-Identifier: Apache-2.0
// Claims: what is hidden is known to be, byte by byte, until it is shown; asking and moving touch nothing an inspector would report, and keep the
// bytes; where nobody inspects, nothing is ever hidden. That inspectors report what is hidden: stray_test.
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdlib>
#include <numeric>
#include <thread>

#include "tests/support/sanitizer.h"

#if STRATA_TEST_HAS(address_sanitizer)
#include <sanitizer/lsan_interface.h>
#endif

import strata.mem;

namespace strata::mem {
namespace {

struct alignas(16) room {
  unsigned char bytes[64] = {};

  room() { std::iota(bytes, bytes + sizeof(bytes), static_cast<unsigned char>(1)); }
  ~room() { show(bytes, sizeof(bytes)); }
};

TEST(Inspector, KnowsWhetherAnybodyInspects) {
  EXPECT_EQ(has_address_sanitizer, test::under_asan);
  EXPECT_EQ(under_memcheck(), std::getenv("STRATA_UNDER_MEMCHECK") != nullptr);
  EXPECT_EQ(inspected(), has_address_sanitizer || under_memcheck());
}

TEST(Inspector, HidesSoManyBytesUntilTheyAreShown) {
  const room r;
  hide(r.bytes + 16, 32);
  EXPECT_TRUE(is_shown(r.bytes, 16));
  EXPECT_EQ(is_hidden(r.bytes + 16, 32), inspected());
  EXPECT_EQ(is_shown(r.bytes + 16, 32), !inspected());
  EXPECT_TRUE(is_shown(r.bytes + 48, 16));
  EXPECT_FALSE(is_hidden(r.bytes + 15, 33)) << "a shown byte in front";
  EXPECT_FALSE(is_hidden(r.bytes + 16, 33)) << "a shown byte behind";
  show_as_is(r.bytes + 16, 13);
  EXPECT_TRUE(is_shown(r.bytes, 29));
  EXPECT_EQ(is_hidden(r.bytes + 29, 19), inspected()) << "what is left of it";
  show(r.bytes + 16, 32);
  EXPECT_TRUE(is_shown(r.bytes, sizeof(r.bytes)));
}

TEST(Inspector, HiddenBytesKeepWhatTheyHold) {
  room r;
  hide(r.bytes, sizeof(r.bytes));
  unsigned char copy[64] = {};
  {
    const look allowed;
    move_hidden(copy, r.bytes, sizeof(copy));
    move_hidden(r.bytes + 1, r.bytes, 32);  // overlapping, upwards
    move_hidden(r.bytes + 32, r.bytes + 40, 24);
  }
  show_as_is(r.bytes, sizeof(r.bytes));
  for (unsigned i = 0; i < sizeof(copy); ++i) EXPECT_EQ(copy[i], i + 1);
  EXPECT_EQ(r.bytes[0], 1);
  for (unsigned i = 1; i < 32; ++i) EXPECT_EQ(r.bytes[i], i) << i;
  for (unsigned i = 32; i < 56; ++i) EXPECT_EQ(r.bytes[i], i + 9) << i;
}

#if STRATA_TEST_HAS(address_sanitizer)
[[gnu::noinline]] void point_to_a_new_block(void* from) { *static_cast<char**>(from) = new char[5000]; }

TEST(Inspector, WhatARootPointsToIsNotLost) {
  const page_run_result pages = map_run(4096, 4096, {});
  ASSERT_NE(pages.run.base, nullptr);
  std::thread([&] { point_to_a_new_block(pages.run.base); }).join();  // on a stack that is gone
  add_root(pages.run.base, pages.run.bytes);
  EXPECT_EQ(__lsan_do_recoverable_leak_check(), 0);
  remove_root(pages.run.base, pages.run.bytes);
  EXPECT_EQ(__lsan_do_recoverable_leak_check(), 1) << "nothing but those pages points to it";
  add_root(pages.run.base, pages.run.bytes);
  EXPECT_EQ(__lsan_do_recoverable_leak_check(), 0);
  delete[] *static_cast<char**>(pages.run.base);
  remove_root(pages.run.base, pages.run.bytes);
  EXPECT_FALSE(unmap_run(pages.run).failed());
}
#endif

TEST(Inspector, LooksMayBeNested) {
  const look outer;
  {
    const look inner;
  }
  EXPECT_EQ(is_hidden(nullptr, 0), inspected()) << "of no bytes all are hidden";
}

}  // namespace
}  // namespace strata::mem
