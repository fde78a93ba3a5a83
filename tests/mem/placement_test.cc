// SPDX-License-Identifier: Apache-2.0
// Claims: a place has the residue asked for and crosses no border, for any integers (S2-11), and is the lowest, as brute
// force finds it (W2-02, its parameter sets); nothing is refused but what cannot be; every range of reach() bytes has a
// place, and some shorter one has none; negative offsets count down, multiples of the alignment too (D2-06); numbers at
// the ends of the address space do not wrap (D2-07); exactly size bytes must keep clear of a border (D2-08).
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <numeric>
#include <optional>
#include <random>
#include <vector>

import strata.mem;

namespace strata::mem {
namespace {

using numbers = std::initializer_list<std::size_t>;

constexpr std::size_t most = std::numeric_limits<std::size_t>::max();

// S2-11, word for word. Numbers here are small.
bool is_place(std::uintptr_t p, const placement::request& r, std::size_t unit) {
  const auto as_signed = [](std::uint64_t n) { return static_cast<std::int64_t>(n); };
  if (p % unit != 0) return false;
  if (r.align != 0 && (as_signed(p) - r.offset) % as_signed(r.align) != 0) return false;
  return r.span == 0 || r.size == 0 || p / r.span == (p + r.size - 1) / r.span;
}

std::optional<std::uintptr_t> brute_force(std::uintptr_t lo, std::uintptr_t hi, const placement::request& r,
                                          std::size_t unit) {
  for (std::uintptr_t p = lo; p + r.size <= hi; ++p) {
    if (is_place(p, r, unit)) return p;
  }
  return std::nullopt;
}

std::optional<std::uintptr_t> found(const placement& asked, std::uintptr_t lo, std::uintptr_t hi) {
  std::uintptr_t p = 0;
  return asked.lowest(lo, hi, p) ? std::optional(p) : std::nullopt;
}

void agrees_with_brute_force(const placement::request& r, std::size_t unit, std::uintptr_t lo, std::size_t window) {
  const placement asked(r, unit);
  const auto expected = brute_force(lo, lo + window, r, unit);
  ASSERT_EQ(found(asked, lo, lo + window), expected)
      << "size " << r.size << " align " << r.align << " offset " << r.offset << " span " << r.span << " unit " << unit
      << " from " << lo << " bytes " << window;
  if (expected) ASSERT_TRUE(asked.possible());
}

// Whether a place exists at all, by going once through all that can differ.
bool exists(const placement::request& r, std::size_t unit) {
  const std::size_t period =
      std::lcm(std::lcm(std::max<std::size_t>(r.align, 1), std::max<std::size_t>(r.span, 1)), unit);
  return brute_force(0, period + r.size, r, unit).has_value();
}

TEST(Placement, FindsWhatBruteForceFindsForEverySetOfW202) {
  std::mt19937_64 random(202);
  for (const std::size_t align : numbers{0, 1, 3, 8, 12, 64, 4096}) {
    for (const std::size_t span : numbers{0, 7, 64, 4096, 2, 13, 61, 251, 4093}) {
      const auto twice = static_cast<std::ptrdiff_t>(2 * align);
      std::vector<std::ptrdiff_t> offsets;
      if (align <= 64) {
        for (std::ptrdiff_t offset = -twice; offset <= twice; ++offset) offsets.push_back(offset);
      } else {
        offsets = {-twice, -twice + 1, -4096, -4095, -1, 0, 1, 8, 16, 100, 4095, 4096, 4097, twice};
      }
      std::vector<std::size_t> sizes;
      const std::size_t largest = 3 * std::max<std::size_t>(span, 30);
      for (std::size_t size = 0; size <= largest; size += 1 + size / 16 + random() % (1 + largest / 32)) {
        sizes.push_back(size);
      }
      sizes.insert(sizes.end(), {span, span + 1, span - std::min<std::size_t>(span, 1)});
      for (const std::size_t size : sizes) {
        for (const std::size_t unit : numbers{1, 16}) {
          const auto offset = offsets[random() % offsets.size()];
          const placement::request r{size, align, offset, span};
          agrees_with_brute_force(r, unit, 1 + random() % 100'000, size + random() % 2000);
        }
      }
      // Every offset, with a size that just about fits.
      for (const auto offset : offsets) {
        const std::size_t size = span == 0 ? 5 : random() % (span + 1);
        agrees_with_brute_force({size, align, offset, span}, 1, random() % 100'000, size + random() % 2000);
      }
    }
  }
}

TEST(Placement, RefusesOnlyWhatCannotBe) {
  for (const std::size_t align : numbers{0, 1, 3, 8, 12, 15, 64}) {
    for (const std::size_t span : numbers{0, 1, 7, 12, 24, 61, 64}) {
      for (const std::size_t unit : numbers{1, 16}) {
        for (std::size_t size = 0; size <= span + 1; ++size) {
          for (const std::ptrdiff_t offset : std::initializer_list<std::ptrdiff_t>{-5, 0, 1, 4, 7}) {
            const placement::request r{size, align, offset, span};
            ASSERT_EQ(placement(r, unit).possible(), exists(r, unit))
                << size << ' ' << align << ' ' << offset << ' ' << span << ' ' << unit;
          }
        }
      }
    }
  }
}

// reach() is what a heap goes by when it looks for room: too little would refuse, too much would waste.
TEST(Placement, EveryRangeOfReachHasAPlaceAndSomeShorterOneHasNot) {
  std::mt19937_64 random(31);
  int tight = 0;
  int all = 0;
  for (int round = 0; round < 3000; ++round) {
    const std::size_t span = random() % 50;
    const placement::request r{random() % (span + 3), random() % 40, static_cast<std::ptrdiff_t>(random() % 80) - 40,
                               span};
    const std::size_t unit = random() % 2 == 0 ? 1 : 16;
    const placement asked(r, unit);
    if (!asked.possible()) continue;
    const std::size_t period =
        std::lcm(std::lcm(std::max<std::size_t>(r.align, 1), std::max<std::size_t>(r.span, 1)), unit);
    std::size_t longest = 0;  // the largest distance from any address to the place it leads to
    for (std::uintptr_t lo = 0; lo < period; ++lo) {
      const auto p = found(asked, lo, most);
      ASSERT_TRUE(p.has_value());
      ASSERT_TRUE(is_place(*p, r, unit));
      longest = std::max(longest, *p - lo);
    }
    ASSERT_LE(longest + r.size, asked.reach());
    ++all;
    tight += longest + r.size == asked.reach() ? 1 : 0;
  }
  EXPECT_GT(all, 1000);
  EXPECT_EQ(tight, all) << "the bound is exact";
}

TEST(Placement, CountsNegativeOffsetsDownFromTheNextMultiple) {
  EXPECT_EQ(found(placement({.size = 1, .align = 12, .offset = -1}), 100, 1000), 107U);
  EXPECT_EQ(found(placement({.size = 1, .align = 12, .offset = -12}), 100, 1000), 108U) << "D2-06";
  EXPECT_EQ(found(placement({.size = 1, .align = 12, .offset = -24}), 100, 1000), 108U) << "D2-06";
  EXPECT_EQ(found(placement({.size = 1, .align = 0, .offset = -5}), 100, 1000), 100U) << "no alignment, no offset";
  // 2^63 is 8 modulo 12.
  EXPECT_EQ(found(placement({.size = 1, .align = 12, .offset = std::numeric_limits<std::ptrdiff_t>::min()}), 96, 1000),
            100U);
}

TEST(Placement, LetsABlockFillASpanAndTouchItsBorder) {
  EXPECT_EQ(found(placement({.size = 64, .span = 64}), 64, 128), 64U) << "D2-08";
  EXPECT_EQ(found(placement({.size = 64, .span = 64}), 65, 192), 128U);
  EXPECT_EQ(found(placement({.size = 60, .span = 64}), 67, 192), 67U);
  EXPECT_EQ(found(placement({.size = 60, .span = 64}), 69, 192), 128U);
  EXPECT_FALSE(placement({.size = 65, .span = 64}).possible());
  EXPECT_EQ(found(placement({.size = 0, .span = 64}), 127, 127), 127U) << "no bytes cross no border";
}

// Places billions of steps apart: a search that tried the steps one by one would not end.
TEST(Placement, DoesNotWalkToFarPlaces) {
  constexpr std::size_t span = (std::size_t{1} << 61) - 1;  // a prime
  const placement asked({.size = span - 1, .align = std::size_t{1} << 40, .offset = 12345, .span = span});
  EXPECT_TRUE(asked.possible());
  EXPECT_EQ(asked.reach(), most);
  const auto p = found(asked, 0, most);
  if (p) EXPECT_LE(*p % span, 1U);
  // Multiples of 3 · 2^32 and of a prime near 2^31 meet once in 2^64.6 addresses.
  const placement once({.size = 2147483647, .align = std::size_t{3} << 32, .offset = 1, .span = 2147483647});
  EXPECT_TRUE(once.possible());
  const auto far = found(once, 0, most);
  ASSERT_TRUE(far.has_value());
  EXPECT_EQ(*far % 2147483647, 0U);
  EXPECT_EQ(*far % (std::size_t{3} << 32), 1U);
  EXPECT_FALSE(found(once, *far + 1, most).has_value());
}

TEST(Placement, DoesNotWrapAtTheEndsOfTheAddressSpace) {
  EXPECT_EQ(found(placement({.size = 16, .align = 4096}), most - 5000, most), most - 8191 + 4096);
  EXPECT_FALSE(found(placement({.size = 4096, .align = 4096}), most - 4096, most).has_value());
  EXPECT_FALSE(found(placement({.size = most}), 1, most).has_value());
  EXPECT_EQ(found(placement({.size = most}), 0, most), 0U);
  EXPECT_FALSE(found(placement({.size = 1, .align = most}, 16), 1, most).has_value()) << "15 × 2^64 and more";
  EXPECT_EQ(found(placement({.size = 1, .align = most, .offset = -1}), 1, most), most - 1);
  EXPECT_EQ(placement({.size = most, .align = 2}).reach(), most);
  EXPECT_FALSE(found(placement({.size = 1}), 10, 5).has_value());
  const placement both({.size = most - 1, .align = most - 2, .offset = -3, .span = most});
  EXPECT_FALSE(found(both, 5, most).has_value());
}

TEST(Placement, KeepsToTheUnitOfAHeap) {
  EXPECT_EQ(found(placement({.size = 8, .align = 3, .offset = 1}, 16), 0, 1000), 16U);
  EXPECT_EQ(found(placement({.size = 8, .align = 3, .offset = 1}, 16), 17, 1000), 64U);
  EXPECT_FALSE(placement({.size = 8, .align = 8, .offset = 4}, 16).possible());
  EXPECT_EQ(placement({.size = 8, .align = 3, .offset = 1}, 16).reach(), 47U + 8);
}

TEST(Placement, HoldsForNumbersOfEveryMagnitude) {
  __extension__ using wide = __int128;
  std::mt19937_64 random(7);
  int places = 0;
  for (int i = 0; i < 100'000; ++i) {
    const std::size_t span = random() >> (random() % 64);
    const placement::request r{.size = span == 0 ? 0 : random() % span,
                               .align = random() >> (random() % 64),
                               .offset = static_cast<std::ptrdiff_t>(random()),
                               .span = span};
    const std::uintptr_t lo = random() >> 1;
    const auto p = found(placement(r, 16), lo, most);
    if (!p) continue;
    ++places;
    ASSERT_GE(*p, lo);
    ASSERT_LE(*p, most - r.size);
    ASSERT_EQ(*p % 16, 0U);
    if (r.align != 0) ASSERT_EQ((wide{*p} - r.offset) % wide{r.align}, 0);
    if (span != 0 && r.size != 0) ASSERT_LE(*p % span, span - r.size);
  }
  EXPECT_GT(places, 10'000);
}

}  // namespace
}  // namespace strata::mem
