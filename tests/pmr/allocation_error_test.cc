// SPDX-License-Identifier: Apache-2.0
// Claims: the error is a std::bad_alloc that names layer, size, alignment, reason and the OS's refusal; its text is
// cut, never overrun; copying and making one neither throws nor allocates.
#include <gtest/gtest.h>

#include <cerrno>
#include <cstring>
#include <new>
#include <string>
#include <type_traits>

#include "tests/support/heap_count.h"

import strata.pmr;
import strata.mem;

namespace strata::pmr {
namespace {

static_assert(std::is_nothrow_copy_constructible_v<allocation_error>);
static_assert(std::is_nothrow_copy_assignable_v<allocation_error>);

TEST(AllocationError, SaysWhatWhereAndWhy) {
  const allocation_error error("orders", 4096, 64, "the OS gives no pages", {"mmap", ENOMEM});
  EXPECT_STREQ(error.what(),
               "strata: orders cannot allocate 4096 bytes aligned to 64: the OS gives no pages (mmap: ENOMEM)");
  EXPECT_STREQ(error.layer(), "orders");
  EXPECT_EQ(error.bytes(), 4096U);
  EXPECT_EQ(error.alignment(), 64U);
  EXPECT_EQ(error.os_code(), ENOMEM);
  EXPECT_STREQ(error.os_call(), "mmap");
}

TEST(AllocationError, LeavesTheOsOutWhenItIsNotToBlame) {
  const allocation_error error("orders", 1, 1, "no");
  EXPECT_STREQ(error.what(), "strata: orders cannot allocate 1 bytes aligned to 1: no");
  EXPECT_EQ(error.os_code(), 0);
  EXPECT_EQ(error.os_call(), nullptr);
}

TEST(AllocationError, IsCaughtAsBadAlloc) {
  EXPECT_THROW(throw allocation_error("orders", 1, 1, "no"), std::bad_alloc);
}

TEST(AllocationError, CutsALongText) {
  const std::string reason(1000, 'x');
  const allocation_error error("orders", 1, 1, reason.c_str(), {"mmap", EPERM});
  EXPECT_LT(std::strlen(error.what()), 300U);
  EXPECT_NE(std::string(error.what()).find("xxxx"), std::string::npos);
}

TEST(AllocationError, TextIsMadeWithoutAllocating) {
  ASSERT_TRUE(test::heap_is_watched());
  const auto before = test::heap_used_by_this_thread();
  const allocation_error error("orders", 1, 1, "no", {"mmap", EPERM});
  const allocation_error copy = error;
  EXPECT_NE(*copy.what(), '\0');
  EXPECT_EQ(test::heap_used_by_this_thread(), before);
}

}  // namespace
}  // namespace strata::pmr
