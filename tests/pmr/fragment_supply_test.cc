// SPDX-License-Identifier: Apache-2.0
// Claims: a run that finds no room brings one region, as large as what was there, or as it needs where that is refused; what
// upstream refuses changes nothing, the reserve included; without a request upstream is not asked; trimmed regions have
// their tables, and get data again, before there are others. With a decay, against a model of when each region was used: a region
// that was needed within the decay is there, one that nobody needed for a decay and two looks is not; what rests is woken rather
// than upstream asked, by many threads too. A thread that is stopped while it gives back makes no request fail.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <random>
#include <thread>
#include <vector>

#include "tests/support/failing_resource.h"
#include "tests/support/recording_resource.h"

import strata.mem;
import strata.pmr;

namespace strata::pmr {
namespace {

constexpr std::size_t page = 8192;
constexpr std::size_t in_page = page / 256;
constexpr std::uint64_t ms = 1'000'000;
constexpr std::uint64_t period = 40;
constexpr std::uint64_t ahead = std::uint64_t{1} << 60;  // of the real clock, which is then left alone

struct FragmentSupply : testing::Test {
  using supply = fragment_supply<test::failing_resource>;

  static void* take(supply& from, std::size_t n) {
    const char* reason = nullptr;
    void* const p = from.take(n, 1, 0, false, reason);
    if (p != nullptr && mem::inspected()) mem::show(p, n * from.options().fragment_bytes);  // as the layer does
    return p;
  }
  static void put(supply& to, void* p, std::size_t n) {
    EXPECT_EQ(to.put(p, n, 0), mem::fragment_fault::none);
    to.look_if_due();
  }

  test::recording_resource recorder;
  test::failing_resource upstream{&recorder};
};

TEST_F(FragmentSupply, BringsARegionForARunThatFindsNoRoom) {
  supply runs(&upstream, {.region_bytes = 4 * page, .max_regions = 3});
  void* const first = take(runs, 4 * in_page);
  EXPECT_EQ(runs.take_now(1, 1), nullptr);
  EXPECT_EQ(runs.store().count().data, 4 * page) << "nobody was asked";
  void* const second = take(runs, 4 * in_page);
  EXPECT_EQ(runs.store().count().data, 8 * page) << "as large as the first";
  upstream.at(2);  // its tables come, its data does not
  void* const third = take(runs, in_page);
  EXPECT_EQ(runs.store().count().data, 9 * page) << "as large as it needs";
  put(runs, first, 4 * in_page);
  put(runs, second, 4 * in_page);
  put(runs, third, in_page);
  EXPECT_EQ(runs.trim(), 5 * page);
  EXPECT_EQ(runs.held(), recorder.live().bytes);
  const std::size_t blocks = recorder.live().blocks;
  void* const all = take(runs, 4 * in_page);
  void* const again = take(runs, 1);
  EXPECT_EQ(recorder.live().blocks, blocks + 1) << "its tables were there";
  put(runs, all, 4 * in_page);
  put(runs, again, 1);
  runs.release();
  EXPECT_EQ(recorder.live().bytes, 0U);
}

TEST_F(FragmentSupply, IsAsItWasWhenUpstreamRefuses) {
  supply runs(&upstream, {.region_bytes = page, .max_regions = 2});
  void* const first = take(runs, in_page);
  for (const std::size_t n : {1U, 2U}) {
    upstream.from(n);
    EXPECT_THROW((void)take(runs, 1), std::bad_alloc);
    EXPECT_EQ(runs.store().count().data, page);
    EXPECT_EQ(runs.held(), recorder.live().bytes);
    EXPECT_EQ(runs.store().check(), nullptr);
  }
  upstream.never();
  put(runs, take(runs, 1), 1);
  put(runs, first, in_page);
}

TEST_F(FragmentSupply, HasItsReserveAgainWhenUpstreamRefused) {
  supply runs(&upstream, {.region_bytes = 4 * page, .reserve_bytes = page});
  runs.release();
  upstream.at(1);
  EXPECT_THROW((void)take(runs, 3 * in_page), std::bad_alloc);
  void* const p = take(runs, 3 * in_page);
  ASSERT_NE(p, nullptr);
  EXPECT_EQ(take(runs, 1), nullptr) << "the rest is in reserve";
  put(runs, p, 3 * in_page);
}

// Each run is as large as a region, so a region is used as long as one is out. First fit, so the model knows which.
TEST_F(FragmentSupply, AgreesWithAModelOfWhenRegionsWereUsed) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  constexpr std::size_t most = 12;
  supply runs(&upstream, {.region_bytes = page, .max_regions = most, .decay_ms = period});
  std::vector<void*> out;
  std::vector<std::size_t> most_at;  // regions used at once, in every millisecond
  std::uint64_t longest_gap = 1;
  std::uint64_t last = 0;
  runs.tick(ahead);
  const auto take_to = [&](std::size_t count) {
    while (out.size() < count) out.push_back(take(runs, in_page));
  };
  const auto leave = [&](std::size_t count) {
    for (; out.size() > count; out.pop_back()) put(runs, out.back(), in_page);
  };
  for (std::uint64_t t = 0; t < 3000; ++t) {
    std::size_t used = out.size();
    if (random() % 8 == 0) {
      const std::size_t peak = random() % (most + 1);
      const std::size_t stays = random() % (most + 1);
      take_to(peak);
      used = std::max(used, peak);
      leave(stays);
      take_to(stays);
      used = std::max(used, stays);
    }
    most_at.push_back(std::max<std::size_t>(used, 1));  // the first stays
    if (random() % 3 != 0) continue;
    longest_gap = std::max(longest_gap, t - last);
    last = t;
    const auto regions = [&] { return runs.store().count().data / page; };
    const std::size_t had = regions();
    runs.tick(ahead + t * ms);
    const auto most_since = [&](std::uint64_t ago) {
      const std::uint64_t from = t < ago ? 0 : t - ago;
      return *std::max_element(most_at.begin() + static_cast<std::ptrdiff_t>(from), most_at.end());
    };
    ASSERT_GE(regions(), std::min(had, most_since(period - 1))) << t << ": somebody needed it";
    ASSERT_LE(regions(), most_since(period + 3 * longest_gap)) << t << ": nobody needed it";
    ASSERT_EQ(runs.store().check(), nullptr);
  }
  leave(0);
}

TEST_F(FragmentSupply, WakesWhatRestsForManyThreads) {
  supply runs(&upstream, {.region_bytes = page, .max_regions = 8, .decay_ms = 1'000'000});
  runs.tick(ahead);
  std::vector<void*> all;
  for (std::size_t n = 0; n < 8; ++n) all.push_back(take(runs, in_page));
  for (void* const p : all) put(runs, p, in_page);
  const std::size_t asked = upstream.requests();
  std::atomic<bool> done{false};
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&, t] {
      for (int round = 0; round < 500; ++round) {
        void* const a = take(runs, in_page);
        void* const b = take(runs, in_page / 2);
        for (void* const p : {a, b}) {
          ASSERT_NE(p, nullptr);
          *static_cast<volatile int*>(p) = t;
        }
        put(runs, a, in_page);
        put(runs, b, in_page / 2);
      }
      done = true;
    });
  }
  for (std::uint64_t i = 1; !done; ++i) runs.tick(ahead + i);
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(upstream.requests(), asked);
  EXPECT_EQ(runs.store().count().data, 8 * page);
  EXPECT_EQ(runs.store().check(), nullptr);
}

#ifdef STRATA_SCHEDULE

thread_local bool is_stopped_in_between = false;
std::atomic<bool> stopped{false};
std::atomic<bool> goes_on{false};

TEST_F(FragmentSupply, AThreadThatIsStoppedWhileItGivesBackMakesNoRequestFail) {
  supply runs(&upstream, {.region_bytes = page});
  void* const first = take(runs, in_page / 2);
  void* const second = take(runs, in_page / 2);
  mem::schedule = [](mem::moment m) {
    if (m != mem::moment::run_part_cleared || !is_stopped_in_between) return;
    stopped = true;
    while (!goes_on) std::this_thread::yield();
  };
  std::thread giving([&] {
    is_stopped_in_between = true;
    put(runs, first, in_page / 2);
  });
  while (!stopped) std::this_thread::yield();
  void* last = nullptr;
  std::atomic<bool> ended{false};
  std::thread taking([&] {
    last = take(runs, in_page);  // once all is back
    ended = true;
  });
  static_assert(2000 < mem::patience<>::most_looks);
  while (runs.contended() < 2000 && !ended) std::this_thread::yield();
  put(runs, second, in_page / 2);
  goes_on = true;
  giving.join();
  taking.join();
  mem::schedule = nullptr;
  ASSERT_NE(last, nullptr) << "what was free had not been given up by anybody for good";
  put(runs, last, in_page);
}

#endif

}  // namespace
}  // namespace strata::pmr
