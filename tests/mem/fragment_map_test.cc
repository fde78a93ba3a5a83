// SPDX-License-Identifier: Apache-2.0
// Claims: blocks of up to a page stay within one, larger ones start at one, aligned ones are aligned, also beyond a page;
// every address of the region has its owner, start and size after any sequence (W1-09); an empty region serves one block
// of all its pages, again and again (W1-04); the largest block that could be
// had is named; wrong pointers, sizes and owners are told apart and change nothing (W1-13);
// of two threads that give a block back one does; a block can lose its tail; data can go and come back; hints spare looks.
#include <gtest/gtest.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <memory>
#include <random>
#include <thread>
#include <utility>
#include <vector>

import strata.mem;

namespace strata::mem {
namespace {

constexpr std::size_t fragment = 256;
constexpr std::size_t page = 8192;

struct freed {
  void operator()(void* p) const { std::free(p); }
};
using memory = std::unique_ptr<void, freed>;

memory take_memory(std::size_t bytes, std::size_t alignment) {
  return memory(std::aligned_alloc(alignment, round_up(bytes, alignment)));
}

/// A region of so many pages. The data starts at an odd page, so that larger alignments are not there by chance.
struct region {
  explicit region(std::size_t pages, std::size_t page_bytes = page, std::size_t fragment_bytes = fragment)
      : shape{fragment_bytes, page_bytes, pages * (page_bytes / fragment_bytes)},
        tables(take_memory(fragment_map::table_bytes(shape.count), alignof(fragment_map))),
        data(take_memory((pages + 1) * page_bytes, std::size_t{1} << 20)),
        base(at<std::byte>(data.get(), static_cast<std::ptrdiff_t>(page_bytes))),
        map(*fragment_map::make(tables.get(), base, shape)) {}

  void* take(std::size_t n, std::size_t alignment = 1, fragment_tag tag = 0) {
    return map.take(n, alignment, tag).block;
  }

  fragment_shape shape;
  memory tables;
  memory data;
  std::byte* base;
  fragment_map& map;
};

TEST(FragmentMap, ServesOneBlockOfAllItsPagesAgainAndAgain) {
  for (const std::size_t pages : {1U, 2U, 7U, 64U}) {
    region r(pages);
    for (int round = 0; round < 3; ++round) {
      ASSERT_EQ(r.take(r.shape.count), r.base);
      EXPECT_EQ(r.take(1), nullptr);
      ASSERT_EQ(r.map.put(r.base, r.shape.count, 0), fragment_fault::none);
    }
    EXPECT_EQ(r.map.check(), nullptr);
  }
}

TEST(FragmentMap, KeepsSmallBlocksWithinAPageAndStartsLargeOnesAtOne) {
  for (const std::size_t page_bytes : {std::size_t{1024}, page, std::size_t{65536}}) {  // 4, 32 and 256 fragments
    region r(8, page_bytes);
    const std::size_t a_page = page_bytes / fragment;
    ASSERT_NE(r.take(1), nullptr);
    for (std::size_t n = 1; n <= 3 * a_page; ++n) {
      void* const p = r.take(n);
      ASSERT_NE(p, nullptr) << n;
      const std::uintptr_t first = address(p) / page_bytes;
      const std::uintptr_t last = (address(p) + n * fragment - 1) / page_bytes;
      if (n <= a_page) {
        EXPECT_EQ(first, last) << n;
      } else {
        EXPECT_TRUE(is_aligned(p, page_bytes)) << n;
      }
      ASSERT_EQ(r.map.put(p, n, 0), fragment_fault::none);
    }
    EXPECT_EQ(r.map.check(), nullptr);
  }
}

TEST(FragmentMap, NamesTheLargestBlockThatCouldBeHad) {
  const std::uint64_t seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937_64 random(seed);
  for (int round = 0; round < 50; ++round) {
    region r(8);
    std::vector<std::pair<void*, std::size_t>> blocks;
    for (int i = 0; i < 12; ++i) {
      const std::size_t n = 1 + random() % 60;
      if (void* const p = r.take(n); p != nullptr) blocks.emplace_back(p, n);
    }
    for (std::size_t i = 0; i < blocks.size(); i += 2) {
      EXPECT_EQ(r.map.put(blocks[i].first, blocks[i].second, 0), fragment_fault::none);
    }
    const std::size_t longest = r.map.longest_free();
    EXPECT_EQ(r.take(longest + 1), nullptr);
    EXPECT_NE(r.take(longest), nullptr);
  }
}

TEST(FragmentMap, AlignsToFragmentsPagesAndAbove) {
  region r(100);
  ASSERT_NE(r.take(1), nullptr);
  for (std::size_t alignment = 1; alignment <= std::size_t{128} << 10; alignment *= 2) {
    for (const std::size_t n : {1U, 3U, 32U, 33U, 70U}) {
      void* const p = r.take(n, alignment);
      ASSERT_NE(p, nullptr) << n << " at " << alignment;
      EXPECT_TRUE(is_aligned(p, alignment)) << n << " at " << alignment;
      ASSERT_EQ(r.map.put(p, n, 0), fragment_fault::none);
    }
  }
}

// D1-12, D1-22: the lineage searched lists, and had sixteen bits for a block's size.
TEST(FragmentMap, KnowsTheOwnerOfEveryAddress) {
  const std::uint64_t seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937_64 random(seed);
  struct block {
    std::size_t n;
    fragment_tag tag;
  };
  region r(16);
  std::map<std::byte*, block> live;
  const auto compare = [&] {
    auto next = live.begin();
    for (std::size_t i = 0; i < r.shape.count; ++i) {
      std::byte* const f = r.base + i * fragment;
      while (next != live.end() && next->first + next->second.n * fragment <= f) ++next;
      const bool covered = next != live.end() && next->first <= f;
      for (const std::size_t offset : {std::size_t{0}, std::size_t{1}, fragment - 1}) {
        const fragment_map::found found = r.map.find(f + offset);
        ASSERT_EQ(found.start, covered ? next->first : nullptr) << "fragment " << i;
        if (!covered) continue;
        ASSERT_EQ(found.fragments, next->second.n);
        ASSERT_EQ(found.tag, next->second.tag);
      }
    }
  };
  for (int i = 0; i < 60'000; ++i) {
    if (!live.empty() && random() % 2 == 0) {
      auto at = live.begin();
      std::advance(at, static_cast<std::ptrdiff_t>(random() % live.size()));
      if (random() % 4 == 0 && at->second.n > 1) {
        at->second.n = 1 + random() % at->second.n;
        r.map.shrink(at->first, at->second.n);
      } else {
        ASSERT_EQ(r.map.put(at->first, random() % 2 == 0 ? at->second.n : 0, at->second.tag), fragment_fault::none);
        live.erase(at);
      }
    } else {
      const std::size_t n = 1 + random() % (random() % 4 == 0 ? 100 : 10);
      const auto tag = static_cast<fragment_tag>(random());
      if (void* const p = r.take(n, 1, tag); p != nullptr) {
        ASSERT_TRUE(live.emplace(static_cast<std::byte*>(p), block{n, tag}).second);
      }
    }
    if (i % 1000 == 0) compare();
  }
  compare();
  EXPECT_EQ(r.map.check(), nullptr);
  std::byte outside{};
  EXPECT_EQ(r.map.find(&outside).start, nullptr);
  EXPECT_EQ(r.map.find(r.base - 1).start, nullptr);
  EXPECT_EQ(r.map.find(r.base + r.shape.count * fragment).start, nullptr);
  EXPECT_EQ(r.map.find(nullptr).start, nullptr);
}

TEST(FragmentMap, KnowsBlocksOfMoreThan65535Fragments) {
  region r(3000);
  const std::size_t n = 90'000;
  auto* const p = static_cast<std::byte*>(r.take(n));
  ASSERT_NE(p, nullptr);
  EXPECT_EQ(r.map.find(p + n * fragment - 1).start, p);
  EXPECT_EQ(r.map.find(p + n * fragment - 1).fragments, n);
  EXPECT_EQ(r.map.find(p + n * fragment).start, nullptr);
  EXPECT_EQ(r.map.put(p, n, 0), fragment_fault::none);
}

TEST(FragmentMap, TellsWrongPointersSizesAndOwnersApart) {
  region r(4);
  auto* const p = static_cast<std::byte*>(r.take(5, 1, 7));
  ASSERT_NE(p, nullptr);
  const std::size_t before = r.map.bits().taken();
  std::byte outside{};
  EXPECT_EQ(r.map.put(&outside, 0, 7), fragment_fault::foreign);
  EXPECT_EQ(r.map.put(nullptr, 0, 7), fragment_fault::foreign);
  EXPECT_EQ(r.map.put(p + 1, 0, 7), fragment_fault::interior);
  EXPECT_EQ(r.map.put(p + fragment, 0, 7), fragment_fault::interior);
  EXPECT_EQ(r.map.put(p + 5 * fragment, 0, 7), fragment_fault::not_live);
  EXPECT_EQ(r.map.put(p, 4, 7), fragment_fault::other_size);
  EXPECT_EQ(r.map.put(p, 6, 7), fragment_fault::other_size);
  EXPECT_EQ(r.map.put(p, 5, 8), fragment_fault::other_owner);
  EXPECT_EQ(r.map.bits().taken(), before);
  EXPECT_EQ(r.map.check(), nullptr);
  EXPECT_EQ(r.map.put(p, 5, 7), fragment_fault::none);
  EXPECT_EQ(r.map.put(p, 5, 7), fragment_fault::not_live);
  EXPECT_EQ(r.map.put(p + fragment, 0, 7), fragment_fault::not_live);
  EXPECT_EQ(r.map.bits().taken(), 0U);
}

TEST(FragmentMap, TakesABlockBackOnceFromTwoThreads) {
  region r(8);
  for (int round = 0; round < 2'000; ++round) {
    void* const p = r.take(3);
    std::atomic<int> there{0};
    std::atomic<int> won{0};
    const auto give_back = [&] {
      ++there;
      while (there.load() < 2) std::this_thread::yield();
      if (r.map.put(p, 3, 0) == fragment_fault::none) ++won;
    };
    std::thread other(give_back);
    give_back();
    other.join();
    ASSERT_EQ(won, 1);
  }
  EXPECT_EQ(r.map.bits().taken(), 0U);
}

TEST(FragmentMap, RestsWhenEmptyAndGivesNothingUntilItWakes) {
  region r(4);
  void* const p = r.take(2);
  EXPECT_FALSE(r.map.rest()) << "a block is out";
  EXPECT_FALSE(r.map.is_resting());
  ASSERT_EQ(r.map.put(p, 2, 0), fragment_fault::none);
  ASSERT_TRUE(r.map.rest());
  EXPECT_FALSE(r.map.rest()) << "it does already";
  EXPECT_EQ(r.take(1), nullptr);
  EXPECT_EQ(r.map.put(p, 2, 0), fragment_fault::not_live);
  EXPECT_EQ(r.map.find(p).start, nullptr);
  EXPECT_EQ(r.map.free(), r.shape.count);
  EXPECT_EQ(r.map.longest_free(), r.shape.count);
  EXPECT_EQ(r.map.check(), nullptr);
  r.map.forked();
  EXPECT_EQ(r.take(1), nullptr) << "a child finds it so";
  r.map.wake();
  EXPECT_EQ(r.take(r.shape.count), r.base);
  EXPECT_EQ(r.map.free(), 0U);
  EXPECT_EQ(r.map.check(), nullptr);
  ASSERT_EQ(r.map.put(r.base, r.shape.count, 0), fragment_fault::none);
  ASSERT_TRUE(r.map.rest());
  EXPECT_EQ(r.map.retire(), r.base) << "out of its rest";
  EXPECT_EQ(r.map.retire(), nullptr);
  EXPECT_EQ(r.map.check(), nullptr);
}

TEST(FragmentMap, LetsItsDataGoAndHaveOthers) {
  region r(4);
  void* const p = r.take(2);
  EXPECT_EQ(r.map.retire(), nullptr) << "a block is out";
  ASSERT_EQ(r.map.put(p, 2, 0), fragment_fault::none);
  EXPECT_EQ(r.map.retire(), r.base);
  EXPECT_EQ(r.take(1), nullptr);
  EXPECT_EQ(r.map.find(p).start, nullptr);
  EXPECT_EQ(r.map.put(p, 2, 0), fragment_fault::foreign);
  EXPECT_EQ(r.map.check(), nullptr);
  const memory other = take_memory(4 * page, page);
  r.map.revive(other.get());
  EXPECT_EQ(r.take(r.shape.count), other.get());
  EXPECT_EQ(r.map.check(), nullptr);
}

// D1-23.
TEST(FragmentMap, LooksFirstWhereItFoundOrGaveBackLast) {
  region r(1000);
  std::vector<void*> blocks;
  std::size_t words = 0;
  for (std::size_t i = 0; i < r.shape.count; ++i) {
    const fragment_map::taken t = r.map.take(1, 1, 0);
    ASSERT_NE(t.block, nullptr);
    blocks.push_back(t.block);
    words += t.claim.words;
  }
  EXPECT_LT(words, 2 * r.shape.count);
  for (const std::size_t i : {30'000U, 17U, 20'000U, 25U}) ASSERT_EQ(r.map.put(blocks[i], 1, 0), fragment_fault::none);
  EXPECT_EQ(r.take(1), blocks[17]) << "first fit";
  EXPECT_EQ(r.take(1), blocks[25]);
  EXPECT_EQ(r.take(1), blocks[20'000]);
}

}  // namespace
}  // namespace strata::mem
