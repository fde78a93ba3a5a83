// SPDX-License-Identifier: Apache-2.0
// Claims: whoever is called back by a layer may allocate and free from the very stack that calls, ask it for figures and
// a report, and throw where that is allowed, in several threads at once: no call hangs, and the stack is sound
// afterwards. The handler of misuse, of every layer that notices any, also below a lock; who relieves a limit, below
// every keeper; owners of blocks that are moved, who merges arenas and who is told of a heap's faults; the sink of a call
// log; the stream of a report. And what is not allowed, using a heap that is being walked, does not hang in a checked
// build, but says so.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <memory>
#include <memory_resource>
#include <mutex>
#include <new>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/watchdog.h"

import strata.mem;
import strata.pmr;

namespace strata::pmr {
namespace {

constexpr std::size_t kib = 1024;
constexpr std::size_t mib = kib * kib;

class CallBack : public testing::Test {
  test::watchdog watching{testing::UnitTest::GetInstance()->current_test_info()->name()};
};

// All that a handler might do with a memory.
void use(layer& memory, bool ask = true) {
  void* const small = memory.allocate(100);
  void* large = nullptr;
  try {
    large = memory.allocate(3000);
  } catch (const std::bad_alloc&) {
    memory.deallocate(small, 100);
    throw;
  }
  std::memset(large, 1, 3000);
  memory.deallocate(small, 100);
  memory.deallocate(large, 3000);
  if (!ask) return;
  static_cast<void>(memory.stats());
  report rows;
  memory.collect(rows);
}

// --- misuse ----------------------------------------------------------------------------------------------------------

// Who handles it, and what with.
struct handling {
  layer* memory;
  std::atomic<int> told{0};
};
handling* now = nullptr;

void use_and_count(const misuse& /*what*/) {
  use(*now->memory);
  ++now->told;
}

alignas(64) std::array<std::byte, 4 * kib> foreign{};

// Two threads misuse `memory` while two use it; each misuse is handled by one that uses it too.
template <class Memory, class Misuse>
void expect_handled(Memory& memory, Misuse misuse_it, std::size_t counted = 0) {
  constexpr int times = 20;
  handling here{&memory};
  now = &here;
  set_misuse_handler(use_and_count);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < times; ++i) {
        if (t % 2 == 0) {
          misuse_it();
        } else {
          use(memory, false);
        }
      }
    });
  }
  for (std::thread& t : threads) t.join();
  set_misuse_handler(nullptr);
  EXPECT_EQ(here.told, 2 * times);
  EXPECT_EQ(memory.stats().live_blocks + counted * 2 * times, 0U);
  EXPECT_FALSE(memory.check().found());
}

// `counted`: blocks that the top takes for given back with each misuse that what is below refuses.
template <class Memory>
void expect_foreign_handled(Memory& memory, std::size_t counted = 0) {
  expect_handled(memory, [&] { memory.deallocate(foreign.data() + 16, 64, 16); }, counted);
}

TEST_F(CallBack, OfMisuseOfSlabsMayUseThem) {
  stack memory{pages{}, slabs{.checks = true}};
  expect_foreign_handled(memory);
}

TEST_F(CallBack, OfMisuseOfASharedHeapMayUseIt) {
  stack memory{pages{}, shared_heap{.checks = true}};
  expect_foreign_handled(memory);
}

// The handler runs under the lock, which its own thread passes. What passes through is counted, also if it is then refused.
TEST_F(CallBack, OfMisuseBelowALockMayUseWhatTheLockIsFor) {
  stack memory{pages{}, heap{.checks = true}, synchronized{}};
  expect_foreign_handled(memory, 1);
  stack slabs_locked{pages{}, unsynchronized_slabs{.checks = true}, synchronized{}};
  expect_foreign_handled(slabs_locked, 1);
}

TEST_F(CallBack, OfMisuseOfFragmentsMayUseThem) {
  stack memory{pages{}, fragments{}};
  expect_foreign_handled(memory);
}

TEST_F(CallBack, OfMisuseOfAPoolMayUseIt) {
  stack memory{pages{}, mempool{.segment_bytes = 4 * mib}};
  expect_foreign_handled(memory);
}

TEST_F(CallBack, OfMisuseOfACacheMayUseIt) {
  stack memory{pages{}, cache{.item_bytes = 64}};
  expect_foreign_handled(memory);
}

TEST_F(CallBack, OfMisuseOfSegmentsMayUseThem) {
  segment_resource memory({.reserve = false});
  expect_foreign_handled(memory);
}

TEST_F(CallBack, OfMisuseOfADebugLayerMayUseIt) {
  stack memory{pages{}, slabs{}, debug{}};
  expect_foreign_handled(memory);
}

TEST_F(CallBack, OfMisuseOfAShadowMayUseIt) {
  stack memory{pages{}, slabs{}, shadow{}};
  expect_handled(memory, [&] {
    void* const p = memory.allocate(100);
    memory.deallocate(p, 100);
    memory.deallocate(p, 100);
  });
}

TEST_F(CallBack, OfMisuseOfGuardsMayUseThem) {
  stack memory{pages{}, slabs{}, guards{}};
  expect_handled(memory, [&] {
    auto* const p = static_cast<std::byte*>(memory.allocate(100, 16));
    memory.deallocate(p, 101, 16);  // another size
    memory.deallocate(p, 100, 16);
  });
}

TEST_F(CallBack, OfMisuseOfACombinerMayUseIt) {
  using region_type = stack<pages, fragments>;
  region_type first{pages{}, fragments{}};
  region_type second{pages{}, fragments{}};
  fallback_resource memory(&first, &second);
  expect_foreign_handled(memory);
}

TEST_F(CallBack, OfALayerThatEndsMayUseWhatIsBelow) {
  stack below{pages{}, shared_heap{}};
  handling here{&below};
  now = &here;
  set_misuse_handler(use_and_count);
  void* p = nullptr;
  {
    heap_resource memory(&below, heap{.live_at_end_is_misuse = true});
    static_cast<void>(memory.allocate(100));
    guard_adaptor guarded(&below, {.live_at_end_is_misuse = true});
    p = guarded.allocate(100);
  }
  set_misuse_handler(nullptr);
  EXPECT_NE(p, nullptr);
  EXPECT_EQ(here.told, 2);
  EXPECT_FALSE(below.check().found());
}

// --- a limit ---------------------------------------------------------------------------------------------------------

// What may go when memory is short.
struct hoard {
  static constexpr std::size_t bytes = 3000;

  layer* memory = nullptr;
  std::mutex lock;
  std::vector<void*> blocks;
  std::atomic<int> asked{0};

  void keep(void* p) {
    const std::lock_guard held(lock);
    blocks.push_back(p);
  }
  [[nodiscard]] void* give() {
    const std::lock_guard held(lock);
    if (blocks.empty()) return nullptr;
    void* const p = blocks.back();
    blocks.pop_back();
    return p;
  }
  static bool relieve(void* self, const shortage& /*what*/) noexcept {
    auto* const h = static_cast<hoard*>(self);
    if (h->memory == nullptr) return false;  // asked while the stack is made
    ++h->asked;
    for (int i = 0; i < 100; ++i) {
      if (void* const p = h->give(); p != nullptr) h->memory->deallocate(p, bytes);
    }
    try {
      use(*h->memory);
    } catch (const std::bad_alloc&) {  // short it is
    }
    return true;
  }
};

// Two threads want more than there is, each until it is refused or has had enough.
template <class... Layers>
void expect_relief(Layers... layers) {
  hoard all;
  stack memory{pages{}, relieved_limit{.bytes = 8 * mib, .when_short = hoard::relieve, .argument = &all}, layers...};
  all.memory = &memory;
  std::vector<std::thread> threads;
  for (int t = 0; t < 2; ++t) {
    threads.emplace_back([&] {
      try {
        for (int i = 0; i < 3000; ++i) all.keep(memory.allocate(hoard::bytes));
      } catch (const std::bad_alloc&) {
      }
    });
  }
  for (std::thread& t : threads) t.join();
  EXPECT_GE(all.asked, 1);
  while (void* const p = all.give()) memory.deallocate(p, hoard::bytes);
  EXPECT_EQ(memory.stats().live_blocks, 0U);
  EXPECT_FALSE(memory.check().found());
}

TEST_F(CallBack, OfALimitMayUseTheSlabsThatAsk) { expect_relief(slabs{}); }
TEST_F(CallBack, OfALimitMayUseTheHeapThatAsks) { expect_relief(shared_heap{}); }
TEST_F(CallBack, OfALimitMayUseTheFragmentsThatAsk) { expect_relief(fragments{.max_regions = 64}); }
TEST_F(CallBack, OfALimitMayUseTheCacheThatAsks) { expect_relief(cache{.item_bytes = hoard::bytes}); }
TEST_F(CallBack, OfALimitMayUseTheGuardsThatAsk) { expect_relief(slabs{}, guards{.one_in = 16}); }
TEST_F(CallBack, OfALimitMayUseTheShadowThatAsks) { expect_relief(slabs{}, shadow{.one_in = 16}); }
TEST_F(CallBack, OfALimitMayUseTheDebugLayerAboveWhoAsks) { expect_relief(slabs{}, debug{}); }

// --- a heap ----------------------------------------------------------------------------------------------------------

using shared = heap_resource<page_resource, threads::any>;

struct restless : block_owner {
  shared* memory = nullptr;
  void* at = nullptr;
  int* moves = nullptr;
  bool throws = false;

  void moved(void* /*from*/, void* to) override {
    at = to;
    ++*moves;
    void* const p = memory->allocate(48);
    memory->deallocate(p, 48);
    static_cast<void>(memory->stats());
    if (throws) {
      throws = false;
      throw std::runtime_error("not now");
    }
  }
};

TEST_F(CallBack, OfAnOwnerThatIsMovedMayUseTheHeapAndThrow) {
  page_resource below;
  shared memory(&below, shared_heap{.keep_freed = 0});
  int moves = 0;
  std::vector<std::unique_ptr<restless>> owners;
  for (int i = 0; i < 200; ++i) {
    auto& each = *owners.emplace_back(std::make_unique<restless>());
    each.memory = &memory;
    each.moves = &moves;
    each.throws = i == 101;
    each.at = memory.allocate_movable(1000, 16, each);
  }
  for (std::size_t i = 0; i < owners.size(); i += 2) {
    memory.deallocate(owners[i]->at, 1000);
    owners[i].reset();
  }
  EXPECT_THROW(memory.compact(), std::runtime_error);
  const int before = moves;
  memory.compact();
  EXPECT_GT(moves, before);
  for (const auto& each : owners) {
    if (each != nullptr) memory.deallocate(each->at, 1000);
  }
  EXPECT_FALSE(memory.check().found());
  EXPECT_EQ(memory.stats().live_blocks, 0U);
}

// A source whose blocks follow one another, so that arenas touch.
class in_a_row final : public std::pmr::memory_resource {
 public:
  in_a_row() : room_(4 * mib) {}

 private:
  void* do_allocate(std::size_t bytes, std::size_t alignment) override {
    void* p = room_.data() + used_;
    std::size_t left = room_.size() - used_;
    if (std::align(alignment, bytes, p, left) == nullptr) throw std::bad_alloc();
    used_ = room_.size() - left + bytes;
    return p;
  }
  void do_deallocate(void* /*p*/, std::size_t /*bytes*/, std::size_t /*alignment*/) override {}
  [[nodiscard]] bool do_is_equal(const std::pmr::memory_resource& other) const noexcept override {
    return this == &other;
  }

  std::vector<std::byte> room_;
  std::size_t used_ = 0;
};

struct merging {
  layer* memory = nullptr;
  int asked = 0;
};

TEST_F(CallBack, OfWhoMergesArenasMayUseTheHeap) {
  in_a_row below;
  merging here;
  heap_resource memory(static_cast<std::pmr::memory_resource*>(&below),
                       shared_heap{.min_arena = 64 * kib,
                                   .merge =
                                       [](void* self, const arena&, const arena&) {
                                         auto* const m = static_cast<merging*>(self);
                                         ++m->asked;
                                         m->memory->deallocate(m->memory->allocate(48), 48);
                                         static_cast<void>(m->memory->stats());
                                         return true;
                                       },
                                   .argument = &here});
  here.memory = &memory;
  std::vector<void*> blocks;
  for (int i = 0; i < 100; ++i) blocks.push_back(memory.allocate(10'000));
  EXPECT_GE(here.asked, 1);
  for (void* p : blocks) memory.deallocate(p, 10'000);
  EXPECT_FALSE(memory.check().found());
  EXPECT_EQ(memory.stats().live_blocks, 0U);
}

TEST_F(CallBack, OfAHeapsFaultsMayUseTheHeapAndThrow) {
  page_resource below;
  merging here;
  heap_resource memory(&below, shared_heap{.checks = true,
                                           .panic =
                                               [](void* self, const misuse&) {
                                                 auto* const m = static_cast<merging*>(self);
                                                 ++m->asked;
                                                 use(*m->memory);
                                                 throw std::runtime_error("misused");
                                               },
                                           .argument = &here});
  here.memory = &memory;
  EXPECT_THROW(memory.deallocate(foreign.data() + 16, 64, 16), std::runtime_error);
  EXPECT_EQ(here.asked, 1);
  use(memory);
  EXPECT_FALSE(memory.check().found());
}

TEST(CallBackDeathTest, UsingAHeapThatIsWalkedIsSaidAndDoesNotHang) {
  if (!mem::checked) GTEST_SKIP() << "this build is not checked";
  const auto walk = [] {
    page_resource below;
    heap_resource memory(&below, shared_heap{});
    void* const p = memory.allocate(100);
    memory.walk([&](const auto&) { memory.deallocate(p, 100); });
  };
  EXPECT_DEATH(walk(), "strata: lock \"of a heap\" .* taken twice by one thread");
}

// --- text ------------------------------------------------------------------------------------------------------------

struct listener {
  layer* memory = nullptr;
  std::size_t lines = 0;
  bool inside = false;

  static void take(void* self, const char* /*text*/, std::size_t /*bytes*/) noexcept {
    auto* const l = static_cast<listener*>(self);
    ++l->lines;
    if (l->inside || l->memory == nullptr) return;  // what it does is logged as well; and the log begins before it can
    l->inside = true;
    use(*l->memory);
    l->inside = false;
  }
};

TEST_F(CallBack, OfALogMayUseTheMemoryThatIsLogged) {
  listener here;
  stack memory{pages{}, slabs{},
               debug{.flags = debug_flags::logging, .log_depth = 4, .log = text_sink(listener::take, &here)}};
  here.memory = &memory;
  use(memory);
  EXPECT_GT(here.lines, 8U);
  EXPECT_EQ(memory.stats().live_blocks, 0U);
}

#if defined(__GLIBC__)
TEST_F(CallBack, OfAReportsStreamMayUseTheMemoryThatReports) {
  stack memory{pages{}, heap{}, synchronized{}};
  struct reader {
    layer* memory;
    std::size_t calls = 0;
  } here{&memory};
  std::FILE* const out = ::fopencookie(&here, "w",
                                       {.read = nullptr,
                                        .write =
                                            [](void* self, const char* /*text*/, std::size_t bytes) {
                                              auto* const r = static_cast<reader*>(self);
                                              ++r->calls;
                                              use(*r->memory);
                                              return static_cast<ssize_t>(bytes);
                                            },
                                        .seek = nullptr,
                                        .close = nullptr});
  ASSERT_NE(out, nullptr);
  std::setvbuf(out, nullptr, _IONBF, 0);
  memory.write_report(out);
  std::fclose(out);
  EXPECT_GE(here.calls, 1U);
  EXPECT_EQ(memory.stats().live_blocks, 0U);
}
#endif

}  // namespace
}  // namespace strata::pmr
