// SPDX-License-Identifier: Apache-2.0
// Claims: what is kept goes after the decay, not before, and at the latest a quarter later when looked at often, or with the
// next look when seldom; no more goes than was kept all the while; what went is not let go twice; a dip between two
// looks counts; what is found unused does not delay the rest. A decay of 0 lets all go; none, and the longest, let nothing go;
// a clock that stands still lets nothing go, one that goes back begins anew. A slice begins once in a quarter. In a random run
// no more than the least of the last decay goes, and no less than
// the least of one and a quarter and a look. Idleness is the same for a whole. A timer is due once in a slice.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

import strata.mem;

namespace strata::mem {
namespace {

constexpr std::uint64_t ms = 1'000'000;
constexpr std::size_t kib = 1024;

TEST(Decay, LetsGoAfterItsTimeAndNotBefore) {
  decay d{decay_period(100)};
  for (std::uint64_t t = 0; t < 100; ++t) ASSERT_EQ(d.look(7 + t * ms, 64 * kib, 64 * kib), 0U) << t;
  EXPECT_EQ(d.look(7 + 100 * ms, 64 * kib, 64 * kib), 64 * kib);
}

TEST(Decay, LetsGoAQuarterLaterAtTheLatest) {
  for (std::uint64_t freed = 0; freed < 60; ++freed) {
    decay d{decay_period(100)};
    std::uint64_t gone = 0;
    for (std::uint64_t t = 0; gone == 0 && t < 1000; ++t) {
      const std::size_t kept = t < freed ? 0 : kib;
      if (d.look(t * ms, t == freed ? 0 : kept, kept) == kib) gone = t;
    }
    EXPECT_GE(gone, freed + 100);
    EXPECT_LE(gone, freed + 126);
  }
}

TEST(Decay, IsAsGoodWithASingleLook) {
  decay d{decay_period(100)};
  EXPECT_EQ(d.look(0, kib, kib), 0U);
  EXPECT_EQ(d.look(5000 * ms, kib, kib), kib);
}

TEST(Decay, KeepsWhatWasUsedBetweenTwoLooks) {
  decay d{decay_period(100)};
  for (std::uint64_t t = 0; t < 1000; t += 10) ASSERT_EQ(d.look(t * ms, 0, 64 * kib), 0U) << "always back in time";
}

TEST(Decay, LetsGoWhatASteadyLoadLeavesOver) {
  decay d{decay_period(100)};
  std::size_t may = 0;
  for (std::uint64_t t = 0; t <= 130; t += 10) may = std::max(may, d.look(t * ms, 10 * kib, 64 * kib));
  EXPECT_EQ(may, 10 * kib);
}

TEST(Decay, LetsNothingGoTwice) {
  decay d{decay_period(100)};
  std::size_t kept = 64 * kib;
  std::size_t gone = 0;
  for (std::uint64_t t = 0; t < 1000; t += 10) {
    const std::size_t now = std::min<std::size_t>(d.look(t * ms, kept, kept), 16 * kib);
    d.gave(now);
    kept -= now;
    gone += now;
  }
  EXPECT_EQ(gone, 64 * kib);
  EXPECT_EQ(kept, 0U);
}

TEST(Decay, IsNotDelayedByWhatWasFoundUnused) {
  for (std::uint64_t at = 0; at < 130; at += 10) {
    decay d{decay_period(100)};
    std::size_t gone = 0;
    for (std::uint64_t t = 0; t <= 130; t += 10) {
      const std::size_t may = d.look(t * ms, kib, kib);
      gone = std::max(gone, may);
      if (t != at) continue;
      d.found(64 * kib);
      d.gave(64 * kib);
    }
    EXPECT_EQ(gone, kib) << at;
  }
}

TEST(Decay, LetsGoLaterWhatWasFoundAndStayed) {
  decay d{decay_period(100)};
  for (std::uint64_t t = 0; t <= 100; t += 10) (void)d.look(t * ms, kib, kib);
  d.found(4 * kib);
  d.gave(2 * kib);
  EXPECT_EQ(d.look(101 * ms, 3 * kib, 3 * kib), 3 * kib);
  EXPECT_EQ(d.look(102 * ms, 0, 3 * kib), 0U) << "it was used";
}

TEST(Decay, OfNothingIsAtOnce) {
  decay d{decay_period(0)};
  EXPECT_EQ(d.look(5, 0, kib), kib);
  EXPECT_EQ(d.look(5, 0, kib), kib);
  EXPECT_EQ(d.look(4, 0, 0), 0U);
}

TEST(Decay, IsOffUnlessAsked) {
  decay d{decay_period(no_decay)};
  EXPECT_FALSE(d.period().is_on());
  EXPECT_EQ(d.look(0, kib, kib), 0U);
  EXPECT_EQ(d.look(std::numeric_limits<std::uint64_t>::max(), kib, kib), 0U);
}

TEST(Decay, MayBeAsLongAsTheClockGoes) {
  for (const std::size_t length : {no_decay - 1, no_decay / 1'000'000, no_decay / 1'000'000 + 1, no_decay / 2}) {
    decay d{decay_period(length)};
    EXPECT_TRUE(d.period().is_on());
    EXPECT_EQ(d.look(0, kib, kib), 0U);
    EXPECT_EQ(d.look(std::numeric_limits<std::uint64_t>::max() / 2, kib, kib), 0U) << length;
  }
}

TEST(Decay, LetsNothingGoWhileTheClockStandsStill) {
  decay d{decay_period(1)};
  for (int i = 0; i < 100; ++i) ASSERT_EQ(d.look(0, kib, kib), 0U);
}

TEST(Decay, BeginsAnewWhenTheClockGoesBack) {
  decay d{decay_period(100)};
  EXPECT_EQ(d.look(1000 * ms, kib, kib), 0U);
  EXPECT_EQ(d.look(1099 * ms, kib, kib), 0U);
  EXPECT_EQ(d.look(50 * ms, kib, kib), 0U);
  EXPECT_EQ(d.look(149 * ms, kib, kib), 0U);
  EXPECT_EQ(d.look(150 * ms, kib, kib), kib);
}

TEST(Decay, BeginsASliceOnceInAQuarter) {
  decay d{decay_period(100)};
  std::vector<std::uint64_t> begun;
  for (std::uint64_t t = 7; t < 107; ++t) {
    if (d.begins_slice(t * ms)) begun.push_back(t);
    (void)d.look(t * ms, 0, kib);
  }
  EXPECT_EQ(begun, (std::vector<std::uint64_t>{7, 32, 57, 82}));
  EXPECT_TRUE(d.begins_slice(1 * ms)) << "the clock went back";
  EXPECT_TRUE(decay{decay_period(0)}.begins_slice(0));
  EXPECT_FALSE(decay{decay_period(no_decay)}.begins_slice(0));
}

// Model: every moment's kept bytes.
TEST(Decay, AgreesWithAModelThatForgetsNothing) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  for (int run = 0; run < 20; ++run) {
    constexpr std::uint64_t period = 40;
    decay d{decay_period(period)};
    std::vector<std::size_t> kept_at;
    std::size_t kept = 0;
    std::size_t low = 0;
    std::uint64_t last = 0;
    std::uint64_t longest_gap = 1;
    for (std::uint64_t t = 0; t < 2000; ++t) {
      const auto least_since = [&](std::uint64_t from) {
        return *std::min_element(kept_at.begin() + static_cast<std::ptrdiff_t>(from), kept_at.end());
      };
      if (random() % 16 == 0) kept = random() % 100;
      low = std::min(low, kept);
      kept_at.push_back(kept);
      if (t != 0 && random() % 4 != 0) continue;
      const std::size_t may = d.look(t * ms, low, kept);
      longest_gap = std::max(longest_gap, t - last);
      last = t;
      low = kept;
      if (t >= period) {
        ASSERT_LE(may, least_since(t - period)) << t;
      } else {
        ASSERT_EQ(may, 0U) << t;
      }
      // A slice may be as long as a quarter and a gap between looks.
      const std::uint64_t late = period + period / 4 + 2 * longest_gap;
      if (t > late) {
        ASSERT_GE(may, least_since(t - late)) << t;
      }
      const std::size_t gone = may == 0 ? 0 : random() % (may + 1);
      d.gave(gone);
      kept -= gone;
      low -= gone;
      for (std::size_t& k : kept_at) k -= std::min(k, gone);
    }
  }
}

TEST(Idleness, IsAWholePeriodWithoutUse) {
  idleness i;
  const decay_period period(100);
  EXPECT_FALSE(i.look(period, 0, false));
  EXPECT_FALSE(i.look(period, 99 * ms, false));
  EXPECT_TRUE(i.look(period, 100 * ms, false));
  EXPECT_FALSE(i.look(period, 101 * ms, true));
  EXPECT_FALSE(i.look(period, 200 * ms, false));
  EXPECT_TRUE(i.look(period, 201 * ms, false));
  EXPECT_FALSE(i.look(period, 10 * ms, false)) << "the clock went back";
  EXPECT_TRUE(i.look(period, 110 * ms, false));
  EXPECT_TRUE(idleness().look(decay_period(0), 0, true)) << "at once";
  idleness never;
  EXPECT_FALSE(never.look(decay_period(no_decay), 0, false));
  EXPECT_FALSE(never.look(decay_period(no_decay), std::numeric_limits<std::uint64_t>::max(), false));
}

TEST(DecayTimer, IsDueOnceInASlice) {
  std::uint64_t now = 0;
  decay_timer<threads::any> off{decay_period(no_decay)};
  EXPECT_FALSE(off.is_due(now));
  EXPECT_EQ(now, 0U) << "the clock was not read";
  decay_timer<threads::any> long_one{decay_period(no_decay - 1)};
  EXPECT_TRUE(long_one.is_due(now));
  EXPECT_FALSE(long_one.is_due(now));
  decay_timer<threads::one> at_once{decay_period(0)};
  EXPECT_TRUE(at_once.is_due(now));
  EXPECT_TRUE(at_once.is_due(now));
}

}  // namespace
}  // namespace strata::mem
