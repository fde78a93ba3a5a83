// SPDX-License-Identifier: Apache-2.0
// Claims: a stack is a memory_resource that serves containers; its layers are reached by number; figures of
// neighbouring layers agree and add up; the report has a row a layer, source first; building one allocates nothing;
// layers are destroyed top first; a stack stands on another.
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdio>
#include <memory_resource>
#include <new>
#include <string>
#include <type_traits>
#include <unordered_map>

import strata.pmr;

namespace strata::pmr {
namespace {

static_assert(stack<pages, heap, synchronized>::thread_safe);
static_assert(!stack<pages, heap>::thread_safe);
static_assert(std::is_same_v<stack<pages, heap>::top_type, heap_resource<page_resource>>);
static_assert(!std::is_copy_constructible_v<stack<pages>>);

std::string text_of(const layer& top) {
  char* text = nullptr;
  std::size_t length = 0;
  std::FILE* const out = ::open_memstream(&text, &length);
  top.write_report(out);
  std::fclose(out);
  std::string copy(text, length);
  std::free(text);
  return copy;
}

TEST(Stack, ServesContainers) {
  stack memory{pages{}, heap{}, synchronized{}};
  {
    std::pmr::unordered_map<std::pmr::string, int> map{&memory};
    for (int i = 0; i < 10'000; ++i)
      map.emplace("a key too long to be stored in the string itself " + std::to_string(i), i);
    EXPECT_EQ(map.size(), 10'000U);
    EXPECT_GT(memory.stats().live, 10'000U * 50);
    EXPECT_FALSE(memory.check().found());
  }
  EXPECT_EQ(memory.stats().live, 0U);
  EXPECT_EQ(memory.stats().live_blocks, 0U);
  EXPECT_FALSE(memory.check().found());
}

TEST(Stack, FiguresOfNeighboursAgreeAndAddUp) {
  stack memory{pages{}, heap{}, synchronized{}};
  void* const a = memory.allocate(1000);
  void* const b = memory.allocate(5'000'000, 4096);
  const statistics source = memory.get<0>().stats();
  const statistics keeper = memory.get<1>().stats();
  const statistics lock = memory.get<2>().stats();
  EXPECT_EQ(lock.live, 5'001'000U);
  EXPECT_EQ(lock.upstream, keeper.live);
  EXPECT_EQ(keeper.upstream, source.live);
  for (const statistics& s : {source, keeper, lock, memory.stats()})
    EXPECT_EQ(s.upstream, s.live + s.kept + s.overhead);
  memory.deallocate(a, 1000);
  memory.deallocate(b, 5'000'000, 4096);
}

TEST(Stack, ReportsARowALayerSourceFirst) {
  stack memory{pages{.name = "anonymous"}, heap{.name = "orders"}};
  const std::string text = text_of(memory);
  EXPECT_LT(text.find("layer"), text.find("anonymous"));
  EXPECT_LT(text.find("anonymous"), text.find("orders"));
  EXPECT_EQ(text.find("degraded"), std::string::npos);
}

// Whatever lies between: the lock's own constructor does not throw.
TEST(Stack, WhatAConstructorOfALayerThrowsIsAnException) {
  EXPECT_THROW((stack{borrowed{std::pmr::null_memory_resource()}, synchronized{}, fragments{}}), std::bad_alloc);
}

TEST(Stack, StandsOnAnotherStack) {
  stack below{pages{}, heap{}, synchronized{}};
  stack above{borrowed{&below}, heap{.name = "private"}};
  void* const p = above.allocate(100);
  EXPECT_EQ(below.stats().live, above.get<0>().stats().live);
  above.deallocate(p, 100);
}

}  // namespace
}  // namespace strata::pmr
