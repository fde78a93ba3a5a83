// SPDX-License-Identifier: Apache-2.0
// Claims: threads that allocate, that return what others allocated, that begin and end scopes, ask for figures, write what
// is live and write profiles do not disturb one another, and all adds up at the end; a sink may use the memory while it is
// written to; a place's stack begins with who asked.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdio>
#include <memory_resource>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

import strata.pmr;

namespace strata::pmr {
namespace {

using one_tracking = stack<pages, slabs, tracking>;

/// Lets threads hand blocks on.
class exchange {
 public:
  using block = std::pair<void*, std::size_t>;
  block swap(std::size_t place, block given) {
    const std::lock_guard lock(mutex_);
    return std::exchange(places_[place % places_.size()], given);
  }

 private:
  std::mutex mutex_;
  std::array<block, 64> places_{};
};

void disturb_one_another(std::size_t sample_bytes) {
  one_tracking memory{pages{}, slabs{}, tracking{.sample_bytes = sample_bytes, .leaks_at_end = false}};
  exchange blocks;
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (std::size_t i = 0; i < 3000; ++i) {
        const std::size_t bytes = (i * 37 + t) % 500;
        const auto [p, size] = blocks.swap(i * 7 + t, {memory.allocate(bytes), bytes});
        if (p != nullptr) memory.deallocate(p, size);
      }
    });
  }
  std::FILE* const nowhere = std::fopen("/dev/null", "w");
  ASSERT_NE(nowhere, nullptr);
  std::thread reader([&] {
    std::size_t rounds = 0;
    while (!stop || rounds == 0) {
      memory.top().push();
      EXPECT_FALSE(memory.top().write_profile(nowhere).failed());
      memory.top().write_live(text_sink(nowhere));
      EXPECT_LE(memory.stats().live, std::size_t{1} << 20);
      static_cast<void>(memory.top().pop());
      ++rounds;
    }
  });
  for (std::thread& thread : threads) thread.join();
  stop = true;
  reader.join();
  std::fclose(nowhere);
  for (std::size_t i = 0; i < 64; ++i) {
    const auto [p, size] = blocks.swap(i, {});
    if (p != nullptr) memory.deallocate(p, size);
  }
  const statistics figures = memory.stats();
  EXPECT_EQ(figures.live, 0U);
  EXPECT_EQ(figures.live_blocks, 0U);
  EXPECT_EQ(figures.allocations, 12'000U);
  EXPECT_EQ(memory.top().unrecorded(), 0U);
  memory.top().walk([](const profiled_place& place) { EXPECT_EQ(place.live_blocks, 0U); });
  EXPECT_FALSE(memory.check().found());
}

TEST(TrackingCalls, DoNotDisturbOneAnotherWhenEveryBlockIsKnown) { disturb_one_another(0); }
TEST(TrackingCalls, DoNotDisturbOneAnotherInASample) { disturb_one_another(700); }

TEST(TrackingCalls, ASinkMayUseTheMemory) {
  one_tracking memory{pages{}, slabs{}, tracking{}};
  void* const p = memory.allocate(100);
  memory.top().write_live({[](void* to, const char*, std::size_t bytes) noexcept {
                             auto& it = *static_cast<one_tracking*>(to);
                             it.deallocate(it.allocate(bytes), bytes);
                           },
                           &memory});
  memory.deallocate(p, 100);
  EXPECT_EQ(memory.stats().live, 0U);
}

[[gnu::noinline]] void* asked_here(one_tracking& memory) {
  void* const p = memory.allocate(100);
  __asm__ volatile("" : : "r"(p) : "memory");
  return p;
}

TEST(TrackingCalls, AStackBeginsWithWhoAsked) {
  one_tracking memory{pages{}, slabs{}, tracking{}};
  void* const p = asked_here(memory);
  std::size_t found = 99;
  memory.top().walk([&](const profiled_place& place) {
    for (std::size_t i = place.stack.size(); i-- > 0;) {
      std::array<char, 256> name;
      if (name_function(place.stack[i], name) && std::string(name.data()).find("asked_here") != std::string::npos)
        found = i;
    }
  });
  EXPECT_LE(found, 1U);  // at most the layer's own do_allocate before it
  memory.deallocate(p, 100);
}

}  // namespace
}  // namespace strata::pmr
