// SPDX-License-Identifier: Apache-2.0
// Claims: threads come and go by the thousand. Each uses every layer, frees what a thread that is dead by then left to it,
// leaves a block to the next, and frees others in destructors of thread_local objects, one older and one younger than
// what it has in each layer. Nothing is lost, and resident memory does not grow with the number of lives.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory_resource>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "tests/pmr/every_layer.h"
#include "tests/support/sanitizer.h"

import strata.pmr;

namespace strata::pmr {
namespace {

constexpr bool sanitized = test::under_asan || test::under_tsan;
constexpr std::size_t bytes = 100;
constexpr std::size_t max_memories = 32;

std::size_t lives() {
  if (std::getenv("STRATA_LONG") != nullptr) return 100'000;
  return sanitized ? 300 : 10'000;
}

// Bytes of this process that are in RAM.
std::size_t resident() {
  std::ifstream figures("/proc/self/statm");
  std::size_t whole = 0;
  std::size_t in_ram = 0;
  figures >> whole >> in_ram;
  return in_ram * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

// A block of each memory, freed when the thread ends.
struct belongings {
  std::span<layer* const> memories;
  std::array<void*, max_memories> blocks{};

  void take(std::span<layer* const> from) {
    memories = from;
    for (std::size_t i = 0; i < from.size(); ++i) {
      blocks[i] = from[i]->allocate(bytes);
      std::memset(blocks[i], 0x5A, bytes);
    }
  }
  ~belongings() {
    for (std::size_t i = 0; i < memories.size(); ++i) memories[i]->deallocate(blocks[i], bytes);
  }
};

// What one thread leaves to the next.
using legacy = std::array<void*, max_memories>;

void live(std::span<layer* const> memories, legacy& left) {
  static thread_local belongings older;
  static_cast<void>(older.memories.size());  // here it is made, before the thread has anything of a layer
  for (std::size_t i = 0; i < memories.size(); ++i) {
    if (left[i] != nullptr) memories[i]->deallocate(left[i], bytes);
    left[i] = memories[i]->allocate(bytes);
    memories[i]->deallocate(memories[i]->allocate(2 * bytes), 2 * bytes);
  }
  older.take(memories);
  static thread_local belongings younger;
  younger.take(memories);
}

TEST(ThreadLives, LoseNothingAndLeaveNothing) {
  const std::vector<test::subject> subjects = test::every_layer();
  std::vector<test::instance> objects;
  std::vector<layer*> memories;
  for (const test::subject& each : subjects) {
    // Shared segments and whole pages cost dozens of system calls a block; they keep nothing for a thread.
    if (each.name() == "segment_resource" || each.name() == "explicit_page_resource") continue;
    objects.push_back(each.make(nullptr));
    memories.push_back(&dynamic_cast<layer&>(*objects.back()));
  }
  ASSERT_LE(memories.size(), max_memories);

  legacy left{};
  const std::size_t settled = lives() / 5;  // a shadow's quarantine of addresses takes its time
  std::size_t before = 0;
  for (std::size_t n = 0; n < lives(); ++n) {
    if (n == settled) before = resident();
    std::thread([&] { live(memories, left); }).join();
  }
  const std::size_t after = resident();
  if (!sanitized) {  // whose own books grow
    EXPECT_LE(after, before + (std::size_t{1} << 20)) << "grown by " << after - before << " bytes";
  }

  for (std::size_t i = 0; i < memories.size(); ++i) {
    SCOPED_TRACE(memories[i]->name());
    EXPECT_EQ(memories[i]->stats().live_blocks, 1U);
    memories[i]->deallocate(left[i], bytes);
    EXPECT_EQ(memories[i]->stats().live_blocks, 0U);
    EXPECT_EQ(memories[i]->stats().live, 0U);
    EXPECT_FALSE(memories[i]->check().found());
  }
}

// Its thread class is part of the type: a stack knows it from its top.
template <class Layer>
constexpr bool any_thread = Layer::thread_safe;
static_assert(any_thread<page_resource> && any_thread<explicit_page_resource> && any_thread<segment_resource>);
static_assert(any_thread<slab_resource<page_resource>> && any_thread<fragment_resource<page_resource>> &&
              any_thread<mempool_resource<page_resource>> && any_thread<named_cache<page_resource>> &&
              any_thread<mempool_cache<page_resource>> && any_thread<object_pool<int, page_resource>>);
static_assert(!any_thread<heap_resource<page_resource, threads::one>> &&
              any_thread<heap_resource<page_resource, threads::any>>);
static_assert(!any_thread<borrowed_resource> && any_thread<synchronized_adaptor<borrowed_resource>>);
template <template <class> class Adaptor>
constexpr bool as_below = any_thread<Adaptor<page_resource>> && !any_thread<Adaptor<borrowed_resource>>;
template <class Upstream>
using limit_over = limit_adaptor<Upstream>;
template <class Upstream>
using relieved_limit_over = limit_adaptor<Upstream, relieved_limit>;
template <class Upstream>
using split_over = size_split_resource<page_resource, Upstream>;
template <class Upstream>
using fallback_over = fallback_resource<page_resource, Upstream>;
static_assert(as_below<limit_over> && as_below<relieved_limit_over> && as_below<locked_adaptor> &&
              as_below<large_page_adaptor> && as_below<sizeless_adaptor> && as_below<debug_adaptor> &&
              as_below<guard_adaptor> && as_below<shadow_resource> && as_below<split_over> && as_below<fallback_over>);
static_assert(any_thread<stack<pages, slabs>> && !any_thread<stack<pages, heap>> &&
              any_thread<stack<pages, heap, synchronized>>);

}  // namespace
}  // namespace strata::pmr
