// SPDX-License-Identifier: Apache-2.0
// Claims: a handle finds its object after any number of compactions; it owns it, once, also when moved; a constructor
// that throws leaves nothing behind; a type that may not be moved as bytes has no handle unless its author says so.
#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <type_traits>
#include <utility>
#include <vector>

#include "tests/support/recording_resource.h"

import strata.pmr;

namespace {

struct counted {
  inline static int alive = 0;
  explicit counted(int v) : value(v) {
    if (v < 0) throw std::invalid_argument("negative");
    ++alive;
  }
  counted(const counted&) = delete;
  counted& operator=(const counted&) = delete;
  ~counted() { --alive; }
  int value;
};

}  // namespace

template <>
inline constexpr bool strata::pmr::is_relocatable<counted> = true;

namespace strata::pmr {
namespace {

struct Handle : testing::Test {
  test::recording_resource upstream;
  heap_resource<> memory{&upstream, {.min_arena = 256 * 1024}};
};

using frame = std::array<std::uint64_t, 20>;

TEST_F(Handle, FindsItsObjectAfterCompaction) {
  std::vector<handle<frame>> frames;
  for (std::uint64_t i = 0; i < 500; ++i) {
    frames.push_back(make_handle<frame>(memory));
    frames.back()->fill(i);
  }
  for (int round = 0; round < 5; ++round) {
    std::vector<handle<frame>> left;
    for (std::size_t i = 0; i < frames.size(); ++i) {
      if (i % 3 != 0) left.push_back(std::move(frames[i]));
    }
    frames = std::move(left);
    EXPECT_GT(memory.compact(), 0U);
    for (const auto& f : frames) EXPECT_EQ(f->front(), f->back());
  }
  std::uint64_t before = 0;
  for (const auto& f : frames) {
    EXPECT_GT(f->front(), before);
    before = f->front();
  }
  EXPECT_EQ(memory.stats().live_blocks, frames.size());
}

TEST_F(Handle, OwnsItsObjectOnce) {
  {
    handle<counted> a = make_handle<counted>(memory, 7);
    handle<counted> b = std::move(a);
    EXPECT_FALSE(a);  // NOLINT(bugprone-use-after-move): what it says then is the claim
    EXPECT_EQ(b->value, 7);
    EXPECT_EQ((*b).value, 7);
    handle<counted> c;
    c = std::move(b);
    EXPECT_EQ(counted::alive, 1);
    c = make_handle<counted>(memory, 8);
    EXPECT_EQ(counted::alive, 1);
    EXPECT_EQ(c.get()->value, 8);
    c.reset();
    EXPECT_EQ(counted::alive, 0);
    EXPECT_EQ(c.get(), nullptr);
    const handle<counted> d = make_handle<counted>(memory, 9);
    EXPECT_EQ(counted::alive, 1);
  }
  EXPECT_EQ(counted::alive, 0);
  EXPECT_EQ(memory.stats().live_blocks, 0U);
}

TEST_F(Handle, LeavesNothingOfAConstructorThatThrew) {
  EXPECT_THROW((void)make_handle<counted>(memory, -1), std::invalid_argument);
  EXPECT_EQ(memory.stats().live_blocks, 0U);
  EXPECT_EQ(counted::alive, 0);
}

TEST_F(Handle, SharedHeapsHaveThemToo) {
  heap_resource shared(&upstream, shared_heap{});
  auto a = make_handle<int>(shared, 3);
  auto b = make_handle<int>(shared, 4);
  a.reset();
  EXPECT_EQ(shared.compact(), 1U);
  EXPECT_EQ(*b, 4);
}

static_assert(is_relocatable<int> && is_relocatable<frame>);
static_assert(!is_relocatable<std::vector<int>>);

}  // namespace
}  // namespace strata::pmr
