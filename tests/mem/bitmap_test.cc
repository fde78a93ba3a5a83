// SPDX-License-Identifier: Apache-2.0
// Claims: first fit is what brute force finds, for every value of a 16-bit cell and every length (W1-02), and for 10⁷
// random claims and releases under all kinds of rules in cells of every width (W1-01); a run as long as the map is found
// in an empty one, again and again (W1-04); a long claim that fails takes nothing and releases nothing of others; what is
// not taken cannot be released. Of many threads each run has one owner, who sees what the one before wrote, and a request
// that fails was full or contended, never busy (W1-03). Wherever another thread comes between two steps of a claim, no
// bit is lost.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/support/sanitizer.h"

import strata.mem;

namespace strata::mem {
namespace {

/// A bitmap and its cells.
template <std::unsigned_integral Cell = std::uint64_t>
struct map {
  explicit map(std::size_t bits) : cells(bitmap<Cell>::cells_for(bits)), bits(cells.data(), bits) {}
  std::vector<typename bitmap<Cell>::cell> cells;
  bitmap<Cell> bits;
};

constexpr std::size_t nowhere = ~std::size_t{0};

/// What a bitmap should do, bit by bit.
struct reference {
  explicit reference(std::size_t bits) : taken(bits, 0) {}

  [[nodiscard]] bool may_start(std::size_t p, std::size_t n, const run_rule& rule) const {
    if (p + n > taken.size() || (p + rule.phase) % rule.alignment != 0) return false;
    return rule.within == 0 || (p + rule.phase) / rule.within == (p + rule.phase + n - 1) / rule.within;
  }
  // The last bit of a run that is taken, or nowhere.
  [[nodiscard]] std::size_t last_taken(std::size_t p, std::size_t n) const {
    const void* const found = memrchr(taken.data() + p, 1, n);
    return found == nullptr ? nowhere : static_cast<std::size_t>(static_cast<const char*>(found) - taken.data());
  }
  [[nodiscard]] std::size_t first_fit_in(std::size_t from, std::size_t end, std::size_t n, const run_rule& rule) const {
    for (std::size_t p = from; p < end && p + n <= taken.size(); ++p) {
      if (const std::size_t last = last_taken(p, n); last != nowhere) {
        p = last;
      } else if (may_start(p, n, rule)) {
        return p;
      }
    }
    return nowhere;
  }
  [[nodiscard]] std::size_t first_fit(std::size_t n, const run_rule& rule, std::size_t from) const {
    const std::size_t above = first_fit_in(from, taken.size(), n, rule);
    return above != nowhere ? above : first_fit_in(0, from, n, rule);
  }
  void set(std::size_t p, std::size_t n, char to) {
    std::fill_n(taken.begin() + static_cast<std::ptrdiff_t>(p), n, to);
  }

  std::vector<char> taken;
};

template <class Cell>
std::size_t claimed(bitmap<Cell>& bits, std::size_t n, const run_rule& rule = {}, std::size_t from = 0) {
  const claim_result result = bits.claim(n, rule, from);
  EXPECT_NE(result.outcome, claim_outcome::contended) << "nobody else is there";
  return result.outcome == claim_outcome::taken ? result.first : nowhere;
}

TEST(Bitmap, FindsTheFirstFitInEveryCell) {
  constexpr std::uint32_t step = test::under_tsan ? 31 : 1;  // it looks for races, and there is one thread
  for (std::uint32_t value = 0; value <= 0xFFFF; value += step) {
    map<std::uint16_t> tested(16);
    for (std::size_t n = 1; n <= 16; ++n) {
      std::size_t expected = nowhere;
      for (std::size_t p = 0; p + n <= 16 && expected == nowhere; ++p) {
        if ((value >> p & ((1U << n) - 1)) == 0) expected = p;
      }
      for (const std::size_t within : {std::size_t{0}, std::size_t{16}}) {  // the two ways to look
        tested.cells[0] = static_cast<std::uint16_t>(value);
        ASSERT_EQ(claimed(tested.bits, n, {.within = within}), expected) << "cell " << value << ", length " << n;
        const std::uint32_t run = expected == nowhere ? 0 : ((1U << n) - 1) << expected;
        ASSERT_EQ(tested.cells[0].load(), value | run) << "cell " << value << ", length " << n;
      }
    }
  }
}

// D1-01: the lineage's search saw no room for two in a cell that ends in 1101.
TEST(Bitmap, GoesOnBehindAHoleThatIsTooSmall) {
  map tested(64);
  tested.cells[0] = 0b1101;
  EXPECT_EQ(claimed(tested.bits, 2, {.within = 64}), 4U);
  tested.cells[0] = 0b1101;
  EXPECT_EQ(claimed(tested.bits, 2), 4U);
}

// D1-02: it took a cell more than asked for. D1-07: half of each cell.
TEST(Bitmap, IsTakenWholeAgainAndAgain) {
  for (const std::size_t bits : {1U, 63U, 64U, 65U, 128U, 1000U, 4096U}) {
    map tested(bits);
    for (int round = 0; round < 3; ++round) {
      ASSERT_EQ(claimed(tested.bits, bits), 0U);
      EXPECT_EQ(tested.bits.taken(), bits);
      EXPECT_EQ(tested.bits.longest_free(), 0U);
      EXPECT_EQ(claimed(tested.bits, 1), nowhere);
      ASSERT_TRUE(tested.bits.release(0, bits));
      EXPECT_EQ(tested.bits.longest_free(), bits);
    }
    EXPECT_EQ(claimed(tested.bits, bits + 1), nowhere);
  }
}

// D1-03: it set free what it met on the way. D1-04: a run longer than a cell was released in part.
TEST(Bitmap, LongClaimThatFailsLeavesOthersAlone) {
  map tested(256);
  ASSERT_TRUE(claimed(tested.bits, 1) == 0 && claimed(tested.bits, 130) == 1);
  ASSERT_TRUE(tested.bits.release(0, 1));
  const std::size_t before = tested.bits.taken();
  EXPECT_EQ(claimed(tested.bits, 126), nowhere);
  EXPECT_EQ(tested.bits.taken(), before);
  EXPECT_EQ(claimed(tested.bits, 125), 131U);
  EXPECT_TRUE(tested.bits.release(1, 130) && tested.bits.release(131, 125));
  EXPECT_EQ(tested.bits.taken(), 0U);
}

TEST(Bitmap, ReleasesOnlyWhatIsTaken) {
  map tested(200);
  ASSERT_EQ(claimed(tested.bits, 100), 0U);
  EXPECT_FALSE(tested.bits.release(50, 51));
  EXPECT_FALSE(tested.bits.release(100, 1));
  EXPECT_EQ(tested.bits.taken(), 100U);
  EXPECT_TRUE(tested.bits.release(0, 100));
  EXPECT_FALSE(tested.bits.release(0, 100));
}

// D1-23: every search of the lineage began in cell 0.
TEST(Bitmap, LooksAtFewWordsWhenItKnowsWhereToStart) {
  map tested(64 * 1000);
  ASSERT_EQ(claimed(tested.bits, 64 * 999), 0U);
  EXPECT_EQ(tested.bits.claim(1, {.within = 64}, 64 * 999).words, 1U);
  EXPECT_EQ(tested.bits.claim(1, {.within = 64}).words, 1000U);
}

// Runs of a bitmap and of the reference, side by side.
template <class Cell>
void follow_model(std::size_t steps, std::uint64_t seed) {
  SCOPED_TRACE("width " + std::to_string(bitmap<Cell>::width) + ", seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  const auto below = [&](std::size_t n) { return static_cast<std::size_t>(random() % n); };
  for (std::size_t done = 0; done < steps;) {
    const std::size_t bits = 1 + below(6 * bitmap<Cell>::width);
    map<Cell> tested(bits);
    reference model(bits);
    std::vector<std::pair<std::size_t, std::size_t>> runs;
    for (const std::size_t end = done + std::min<std::size_t>(steps - done, 20'000); done < end; ++done) {
      if (!runs.empty() && below(100) < 48) {
        std::swap(runs[below(runs.size())], runs.back());
        const auto [p, n] = runs.back();
        runs.pop_back();
        ASSERT_TRUE(tested.bits.release(p, n)) << p << ' ' << n;
        model.set(p, n, 0);
        continue;
      }
      run_rule rule;
      std::size_t n = 1 + below(below(8) == 0 ? bits : std::min<std::size_t>(bits, 1 + bitmap<Cell>::width / 8));
      if (below(2) == 0) rule.within = std::max(std::bit_ceil(n), std::size_t{1} << below(9));
      if (below(3) == 0) rule.alignment = std::size_t{1} << below(7);
      if (below(4) == 0) rule.phase = below(rule.alignment);
      const std::size_t from = below(2) == 0 ? 0 : below(bits);
      const std::size_t expected = model.first_fit(n, rule, from);
      ASSERT_EQ(claimed(tested.bits, n, rule, from), expected)
          << n << " of " << bits << " from " << from << ", within " << rule.within << ", alignment " << rule.alignment
          << ", phase " << rule.phase;
      if (expected == nowhere) continue;
      model.set(expected, n, 1);
      runs.emplace_back(expected, n);
    }
    for (std::size_t i = 0; i < bits; ++i) ASSERT_EQ(tested.bits.is_taken(i), model.taken[i] != 0) << i;
    ASSERT_EQ(tested.bits.taken(), static_cast<std::size_t>(std::count(model.taken.begin(), model.taken.end(), 1)));
    std::size_t longest = 0;
    for (std::size_t i = 0, run = 0; i < bits; ++i)
      longest = std::max(longest, run = model.taken[i] != 0 ? 0 : run + 1);
    ASSERT_EQ(tested.bits.longest_free(), longest);
  }
}

TEST(Bitmap, DoesWhatTheModelDoesInCellsOfEveryWidth) {
  const std::uint64_t seed = std::random_device{}();
  // 10⁷ in all; TSan, for which there is one thread here, takes a minute for so many.
  constexpr std::size_t steps = test::under_tsan ? 250'000 : 2'500'000;
  follow_model<std::uint8_t>(steps, seed);
  follow_model<std::uint16_t>(steps, seed);
  follow_model<std::uint32_t>(steps, seed);
  follow_model<std::uint64_t>(steps, seed);
}

// Threads that claim and release runs; every bit of a run is marked with its owner in plain memory, which TSan watches.
struct crowd {
  explicit crowd(std::size_t bits) : tested(bits), marks(bits, 0) {}

  void work(std::size_t self, std::size_t rounds, std::size_t longest) {
    std::mt19937_64 random(self);
    std::vector<std::pair<std::size_t, std::size_t>> runs;
    for (std::size_t i = 0; i < rounds; ++i) {
      if (runs.size() > 3 || (!runs.empty() && random() % 2 == 0)) {
        give_back(self, runs.back());
        runs.pop_back();
        continue;
      }
      const std::size_t n = 1 + random() % longest;
      run_rule rule;
      if (n <= 32 && random() % 2 == 0) rule.within = 32;
      const claim_result result = tested.bits.claim(n, rule, random() % tested.bits.size());
      ++outcomes[static_cast<std::size_t>(result.outcome)];
      if (result.outcome != claim_outcome::taken) continue;
      for (std::size_t b = 0; b < n; ++b) {
        if (std::exchange(marks[result.first + b], self) != 0) ++doubly_owned;
      }
      runs.emplace_back(result.first, n);
    }
    for (const auto& run : runs) give_back(self, run);
  }

  void give_back(std::size_t self, std::pair<std::size_t, std::size_t> run) {
    for (std::size_t b = 0; b < run.second; ++b) {
      if (std::exchange(marks[run.first + b], 0) != self) ++doubly_owned;
    }
    if (!tested.bits.release(run.first, run.second)) ++doubly_owned;
  }

  map<> tested;
  std::vector<std::size_t> marks;
  std::atomic<std::size_t> doubly_owned{0};
  std::atomic<std::size_t> outcomes[3]{};
};

TEST(Bitmap, GivesEachRunToOneThread) {
  for (const std::size_t longest : {1U, 32U, 300U}) {
    crowd c(1000);
    std::vector<std::thread> threads;
    for (std::size_t t = 1; t <= 4; ++t) threads.emplace_back([&, t] { c.work(t, 20'000, longest); });
    for (std::thread& t : threads) t.join();
    EXPECT_EQ(c.doubly_owned, 0U);
    EXPECT_EQ(c.tested.bits.taken(), 0U) << "a bit was lost";
    EXPECT_GT(c.outcomes[0], 0U);
  }
}

// D1-05: a cell that another thread had in hand was taken for a full one, and the process ended. Here there is always
// room for everybody: as many runs as threads, each thread with one at a time.
TEST(Bitmap, NeverTakesBusyForFull) {
  constexpr std::size_t crew = 4;
  for (const std::size_t n : {1U, 16U, 64U, 200U}) {
    // Wherever the runs of the others lie, they spoil at most two places for this one.
    map tested(n * (3 * crew));
    std::atomic<std::size_t> full{0};
    std::vector<std::thread> threads;
    for (std::size_t t = 0; t < crew; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < 20'000; ++i) {
          const claim_result result = tested.bits.claim(n, n == 64 ? run_rule{.alignment = 64} : run_rule{});
          if (result.outcome == claim_outcome::full) ++full;
          if (result.outcome == claim_outcome::taken) (void)tested.bits.release(result.first, n);
        }
      });
    }
    for (std::thread& t : threads) t.join();
    EXPECT_EQ(full, 0U) << n;
    EXPECT_EQ(tested.bits.taken(), 0U);
  }
}

#ifdef STRATA_SCHEDULE

// Runs `intruder` in another thread when this one has come to its n-th step.
struct at_step {
  at_step(std::size_t nth, std::function<void()> intruder) : nth_(nth), intruder_(std::move(intruder)) {
    current = this;
    schedule = [](moment) { current->step(); };
  }
  ~at_step() { schedule = nullptr; }
  at_step(const at_step&) = delete;
  at_step& operator=(const at_step&) = delete;

  void step() {
    if (std::this_thread::get_id() != self_ || ++steps != nth_) return;
    std::thread(intruder_).join();
  }

  std::size_t steps = 0;

 private:
  static inline at_step* current = nullptr;
  std::size_t nth_;
  std::function<void()> intruder_;
  std::thread::id self_ = std::this_thread::get_id();
};

// A long claim, at each of its steps met by a thread that takes what it is about to take, or frees what is in its way.
TEST(Bitmap, LosesNothingWhereverAnotherThreadComesBetween) {
  bool past_the_end = false;
  for (std::size_t nth = 1; !past_the_end; ++nth) {
    for (int kind = 0; kind < 3; ++kind) {
      map tested(64 * 8);
      ASSERT_EQ(claimed(tested.bits, 10), 0U);
      std::size_t extra = nowhere;
      std::size_t steps = 0;
      claim_result mine;
      {
        const at_step here(nth, [&] {
          if (kind == 0) extra = claimed(tested.bits, 1, {}, 150);  // in the middle of the run to come
          if (kind == 1) (void)tested.bits.release(0, 10);
          if (kind == 2) {  // a long claim of its own
            const claim_result other = tested.bits.claim(200, {}, 100);
            if (other.outcome == claim_outcome::taken) extra = other.first;
          }
        });
        mine = tested.bits.claim(200, {}, 0);
        steps = here.steps;
      }
      past_the_end = nth > steps;
      const bool got = mine.outcome == claim_outcome::taken;
      // The other's run may lie so that there is no room for two.
      ASSERT_TRUE(got || (kind == 2 && mine.outcome == claim_outcome::full && tested.bits.longest_free() < 200));
      const std::size_t others = kind == 1 ? 0 : 10;
      const std::size_t extra_bits = extra == nowhere ? 0 : kind == 0 ? 1U : 200U;
      const std::size_t gone = past_the_end && kind == 1 ? 10 : others;
      EXPECT_EQ(tested.bits.taken(), (got ? 200U : 0U) + gone + extra_bits) << "step " << nth << ", intruder " << kind;
      if (got) EXPECT_TRUE(tested.bits.release(mine.first, 200));
      if (extra != nowhere) EXPECT_TRUE(tested.bits.release(extra, extra_bits));
      if (gone != 0) EXPECT_TRUE(tested.bits.release(0, 10));
      EXPECT_EQ(tested.bits.taken(), 0U);
    }
  }
}

// What a look missed was released behind it: that is not full.
TEST(Bitmap, IsNotFullWhenRoomMovedBehindTheLook) {
  map tested(64 * 4);
  ASSERT_EQ(claimed(tested.bits, 256), 0U);
  ASSERT_TRUE(tested.bits.release(0, 64));
  // This thread sees the free cell; before it takes it, another one takes it and frees the last.
  const at_step here(1, [&] {
    ASSERT_EQ(claimed(tested.bits, 64, {.within = 64}), 0U);
    ASSERT_TRUE(tested.bits.release(192, 64));
  });
  const claim_result mine = tested.bits.claim(64, {.within = 64});
  EXPECT_EQ(mine.outcome, claim_outcome::taken);
  EXPECT_EQ(mine.first, 192U);
}

#endif

// Others release all the time, never what would do: the looks are disturbed, and the answer says so or says full, which
// it is; it never takes for ever.
TEST(Bitmap, SaysContendedOrFullWhileOthersKeepReleasing) {
  map tested(64 * 16);
  for (std::size_t p = 0; p < tested.bits.size(); p += 2) ASSERT_EQ(claimed(tested.bits, 1, {}, p), p);
  std::atomic<bool> stop{false};
  std::thread busy([&] {
    while (!stop) {
      const claim_result one = tested.bits.claim(1);
      if (one.outcome == claim_outcome::taken) (void)tested.bits.release(one.first, 1);
    }
  });
  for (int i = 0; i < 2'000; ++i) {
    const claim_result result = tested.bits.claim(2);
    ASSERT_NE(result.outcome, claim_outcome::taken);
    ASSERT_LE(result.looks, bitmap<>::max_looks + 1);
  }
  stop = true;
  busy.join();
  EXPECT_EQ(tested.bits.claim(2).outcome, claim_outcome::full);
}

}  // namespace
}  // namespace strata::mem
