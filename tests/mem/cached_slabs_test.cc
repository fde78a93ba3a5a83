// SPDX-License-Identifier: Apache-2.0
// Claims: a refill asks for a span when there is none; blocks come out in address order; a full magazine gives its
// older half back; figures add up over threads that live and threads that ended; a thread without a number works on the
// store; clear() voids all and leaves no cache.
#include <gtest/gtest.h>

#include <cstddef>
#include <deque>
#include <thread>
#include <vector>

#include "tests/mem/slab_memory.h"

import strata.mem;

namespace strata::mem {
namespace {

const std::size_t c20 = size_class::of(20);
const std::size_t c70 = size_class::of(70);
const std::size_t c90 = size_class::of(90);
const std::size_t c64 = size_class::of(64);

using slabs_type = cached_slabs<threads::any>;

struct CachedSlabs : testing::Test {
  test::span_memory memory{span_bytes};
  slabs_type slabs;

  void* get(std::size_t c, std::size_t bytes) {
    refused_slot refused;
    void* p = slabs.allocate(c, bytes);
    while (p == nullptr && (p = slabs.refill(c, bytes, refused)) == nullptr) slabs.store().add_span(memory.get());
    return p;
  }
  void put(std::size_t c, void* p, std::size_t bytes) {
    if (!slabs.deallocate(c, p, bytes)) EXPECT_EQ(slabs.flush(c, p, bytes).slot, nullptr);
  }
  refused_slot none;
  void TearDown() override { (void)slabs.clear(); }
};

TEST_F(CachedSlabs, AsksForASpanFirst) {
  EXPECT_EQ(slabs.allocate(0, 16), nullptr);
  EXPECT_EQ(slabs.refill(0, 16, none), nullptr);
  slabs.store().add_span(memory.get());
  EXPECT_NE(slabs.refill(0, 16, none), nullptr);
}

TEST_F(CachedSlabs, HandsOutRisingAddresses) {
  auto* last = static_cast<std::byte*>(get(c64, 64));
  std::size_t rising = 0;
  for (int i = 0; i < 1000; ++i) {
    auto* const p = static_cast<std::byte*>(get(c64, 64));
    rising += p == last + 64 ? 1 : 0;
    last = p;
  }
  EXPECT_GE(rising, 980U) << "64 in a row from each refill";
}

TEST_F(CachedSlabs, AFullMagazineGivesItsOlderHalfBack) {
  std::vector<void*> blocks;
  for (int i = 0; i < 500; ++i) blocks.push_back(get(c64, 64));
  const std::size_t before = slabs.store().counters().slots;
  for (void* const p : blocks) put(c64, p, 64);
  EXPECT_LE(slabs.store().counters().slots, before - 500 + thread_cache::capacity(c64));
  EXPECT_EQ(get(c64, 64), blocks.back()) << "what was freed last comes first";
  put(c64, blocks.back(), 64);
  EXPECT_EQ(slabs.count().live, 0U);
}

TEST_F(CachedSlabs, AddsUpThreadsThatLiveAndThreadsThatEnded) {
  std::vector<void*> blocks;
  std::thread([&] {
    for (int i = 0; i < 1000; ++i) blocks.push_back(get(c90, 90));
  }).join();
  EXPECT_EQ(slabs.count().live, 90'000U);
  EXPECT_EQ(slabs.count().caches, 0U) << "its cache went with it";
  for (void* const p : blocks) put(c90, p, 90);
  const slabs_type::figures n = slabs.count();
  EXPECT_EQ(n.live, 0U);
  EXPECT_EQ(n.allocations, 1000U);
  EXPECT_EQ(n.deallocations, 1000U);
  EXPECT_GT(n.caches, 0U);
  EXPECT_EQ(slabs.trim().slot, nullptr);
  EXPECT_EQ(slabs.store().counters().slots, 1U) << "the cache itself";
  EXPECT_EQ(slabs.store().check(), nullptr);
}

TEST_F(CachedSlabs, WorksWithoutANumber) {
  std::deque<slabs_type> others;
  for (std::size_t i = 0; i < cache_owner::max_owners; ++i) others.emplace_back();
  slabs_type& last = others.back();
  last.store().add_span(memory.get());
  void* const p = last.refill(c70, 70, none);
  ASSERT_NE(p, nullptr);
  EXPECT_EQ(last.allocate(c70, 70), nullptr);
  EXPECT_EQ(last.count().live, 70U);
  EXPECT_EQ(last.count().caches, 0U);
  EXPECT_FALSE(last.deallocate(c70, p, 70));
  EXPECT_EQ(last.flush(c70, p, 70).slot, nullptr);
  EXPECT_EQ(last.count().live, 0U);
  EXPECT_EQ(last.store().counters().slots, 0U);
  for (slabs_type& each : others) (void)each.clear();
}

TEST_F(CachedSlabs, NamesABlockFreedTwiceWhenItReachesItsSlab) {
  void* const p = get(c64, 64);
  put(c64, p, 64);
  put(c64, p, 64);
  const refused_slot refused = slabs.trim();
  EXPECT_EQ(refused.slot, p);
  EXPECT_EQ(refused.fault, slab_fault::already_free);
}

TEST_F(CachedSlabs, ClearVoidsEverything) {
  for (int i = 0; i < 100; ++i) (void)get(c20, 20);
  EXPECT_NE(slabs.clear(), nullptr);
  EXPECT_EQ(slabs.allocate(c20, 20), nullptr);
  EXPECT_EQ(slabs.count().live, 0U);
  EXPECT_EQ(slabs.count().allocations, slabs.count().deallocations);
  EXPECT_EQ(slabs.store().counters().span_bytes, 0U);
  EXPECT_NE(get(c20, 20), nullptr);
}

}  // namespace
}  // namespace strata::mem
