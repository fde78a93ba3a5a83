// SPDX-License-Identifier: Apache-2.0
// Claims beyond conformance: the region is there from the start and all of it can be had (W1-04); figures add up after any
// run (W1-05); exhaustion throws with what is free, or ends the process, or leaves a reserve to critical requests (W1-06);
// owners are known for any address (W1-09); each misuse is a sentence of its own and changes nothing (W1-13); small blocks
// stay within a page; it grows only as allowed, and gives grown regions back; it works in memory of the caller's; resizing
// in place keeps the books; many threads, forks and releases leave it whole.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory_resource>
#include <new>
#include <random>
#include <span>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/support/failing_resource.h"
#include "tests/support/recording_resource.h"

import strata.mem;
import strata.pmr;

namespace strata::pmr {
namespace {

constexpr std::size_t kib = 1024;
constexpr std::size_t mib = 1024 * kib;
constexpr std::size_t page = 8 * kib;

std::vector<misuse> reports;

struct FragmentResource : testing::Test {
  test::recording_resource upstream;

  void SetUp() override {
    reports.clear();
    set_misuse_handler([](const misuse& what) { reports.push_back(what); });
  }
  void TearDown() override { set_misuse_handler(nullptr); }
};

void expect_sums(const layer& l) {
  const statistics s = l.stats();
  EXPECT_EQ(s.upstream, s.live + s.kept + s.overhead);
  EXPECT_FALSE(l.check().found()) << l.check().sentence;
}

std::string failure_of(std::pmr::memory_resource& memory, std::size_t bytes, std::size_t alignment = 1) {
  try {
    memory.deallocate(memory.allocate(bytes, alignment), bytes, alignment);
  } catch (const allocation_error& e) {
    return e.what();
  }
  return "";
}

TEST_F(FragmentResource, HasItsRegionFromTheStartAndAllOfItCanBeHad) {
  fragment_resource memory(&upstream, {.region_bytes = 2 * mib});
  EXPECT_EQ(upstream.request_count(), 1U);
  EXPECT_EQ(memory.capacity(), 2 * mib);
  for (int i = 0; i < 3; ++i) {
    void* const all = memory.allocate(2 * mib, page);
    EXPECT_EQ(memory.stats().kept, 0U);
    EXPECT_EQ(memory.largest_free(), 0U);
    EXPECT_THROW((void)memory.allocate(1), std::bad_alloc);
    memory.deallocate(all, 2 * mib, page);
    EXPECT_EQ(memory.largest_free(), 2 * mib);
  }
  EXPECT_EQ(upstream.request_count(), 1U);
  expect_sums(memory);
}

// D1-06: two requests for nothing had one address.
TEST_F(FragmentResource, GivesZeroBytesAnAddressOfItsOwn) {
  fragment_resource memory(&upstream);
  void* const a = memory.allocate(0);
  void* const b = memory.allocate(0);
  EXPECT_NE(a, b);
  memory.deallocate(a, 0);
  memory.deallocate(b, 0);
  expect_sums(memory);
}

TEST_F(FragmentResource, AddsUpAfterAnyRun) {
  const std::uint64_t seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937_64 random(seed);
  fragment_resource memory(&upstream, {.region_bytes = 1 * mib});
  std::vector<std::pair<void*, std::size_t>> blocks;
  for (int i = 0; i < 50'000; ++i) {
    if (!blocks.empty() && random() % 2 == 0) {
      std::swap(blocks[random() % blocks.size()], blocks.back());
      memory.deallocate(blocks.back().first, blocks.back().second);
      blocks.pop_back();
    } else {
      const std::size_t bytes = random() % (random() % 8 == 0 ? 100 * kib : 2 * kib);
      try {
        blocks.emplace_back(memory.allocate(bytes), bytes);
      } catch (const std::bad_alloc&) {
      }
    }
    if (i % 5000 == 0) expect_sums(memory);
  }
  for (const auto& [p, bytes] : blocks) memory.deallocate(p, bytes);
  const statistics s = memory.stats();
  EXPECT_EQ(s.live, 0U);
  EXPECT_EQ(s.kept, 1 * mib);
  expect_sums(memory);
}

TEST_F(FragmentResource, SaysWhatIsFreeWhenItHasNoRoom) {
  fragment_resource memory(&upstream, {.name = "small", .region_bytes = 2 * page});
  void* const a = memory.allocate(page);
  void* const b = memory.allocate(page - 513);
  EXPECT_EQ(failure_of(memory, 600),
            "strata: small cannot allocate 600 bytes aligned to 1: no run of free fragments is long enough (512 bytes "
            "free, 512 in one piece)");
  EXPECT_EQ(memory.stats().failures, 1U);
  memory.deallocate(a, page);
  memory.deallocate(b, page - 513);
  EXPECT_EQ(failure_of(memory, SIZE_MAX / 2).find("strata: small cannot allocate"), 0U);
  EXPECT_EQ(failure_of(memory, 1, std::size_t{1} << 62).find("strata: small cannot allocate"), 0U);
  expect_sums(memory);
}

TEST_F(FragmentResource, EndsTheProcessWhenToldTo) {
  fragment_resource memory(&upstream, {.name = "vital", .region_bytes = page, .when_exhausted = exhaustion::aborts});
  EXPECT_DEATH((void)memory.allocate(2 * page),
               "strata: vital cannot allocate 16384 bytes aligned to 16: no run of free fragments is long enough .8192 "
               "bytes free, 8192 in one piece.");
}

TEST_F(FragmentResource, KeepsAReserveForCriticalRequests) {
  fragment_resource memory(&upstream, {.region_bytes = 4 * page, .reserve_bytes = page});
  fragment_part critical(&memory, 0, true);
  void* const ordinary = memory.allocate(3 * page);
  EXPECT_NE(failure_of(memory, 1).find("what is free is in reserve for critical requests (8192 bytes free"),
            std::string::npos);
  void* const saved = critical.allocate(page);
  EXPECT_THROW((void)critical.allocate(1), std::bad_alloc);
  memory.deallocate(ordinary, 3 * page);
  memory.deallocate(memory.allocate(2 * page), 2 * page);
  EXPECT_THROW((void)memory.allocate(2 * page + 1), std::bad_alloc) << "the critical block counts";
  critical.deallocate(saved, page);
  memory.deallocate(memory.allocate(3 * page), 3 * page);
  EXPECT_THROW((void)memory.allocate(3 * page + 1), std::bad_alloc);
  expect_sums(memory);
}

TEST_F(FragmentResource, HasItsWholeReserveAgainAfterRelease) {
  test::failing_resource failing(&upstream);
  fragment_resource memory(&failing, {.region_bytes = 4 * page, .reserve_bytes = page});
  (void)memory.allocate(3 * page);
  memory.release();
  failing.at(1);
  EXPECT_THROW((void)memory.allocate(3 * page), std::bad_alloc) << "upstream's";
  void* const p = memory.allocate(3 * page);
  EXPECT_THROW((void)memory.allocate(1), std::bad_alloc) << "the rest is in reserve";
  EXPECT_EQ(memory.left().free, page);
  memory.deallocate(p, 3 * page);
}

TEST_F(FragmentResource, KnowsTheOwnerOfAnyAddress) {
  fragment_resource memory(&upstream);
  fragment_part part(&memory, 7);
  auto* const p = static_cast<std::byte*>(part.allocate(1000));
  for (const std::size_t offset : {0U, 1U, 255U, 256U, 1023U}) {
    EXPECT_EQ(memory.owner(p + offset).start, p);
    EXPECT_EQ(memory.owner(p + offset).bytes, 1024U);
    EXPECT_EQ(memory.owner(p + offset).tag, 7);
  }
  EXPECT_FALSE(memory.owns(p + 1024));
  EXPECT_FALSE(memory.owns(nullptr));
  part.deallocate(p, 1000);
  EXPECT_FALSE(memory.owns(p));
}

// D1-15, D1-24.
TEST_F(FragmentResource, SaysWhatIsWrongAndChangesNothing) {
  fragment_resource memory(&upstream, {.name = "watched"});
  fragment_part part(&memory, 3);
  auto* const p = static_cast<std::byte*>(memory.allocate(1000, 8));
  const statistics before = memory.stats();
  std::byte foreign{};
  const auto said = [&](const std::string& plainly, const std::string& inspected) {
    const std::string& sentence = mem::inspected() ? inspected : plainly;
    ASSERT_EQ(reports.size(), 1U);
    EXPECT_EQ(reports[0].sentence, sentence);
    EXPECT_STREQ(reports[0].layer, "watched");
    reports.clear();
    EXPECT_EQ(memory.stats().live, before.live);
    EXPECT_EQ(memory.stats().kept, before.kept);
    expect_sums(memory);
  };
  memory.deallocate(&foreign, 1);
  said("deallocated a block that lies in no region of this allocator", "a pointer comes back that is of no block");
  memory.deallocate(p + 256, 744);
  said("deallocated a pointer into a block, not its start",
       "a pointer comes back that lies inside a block and is not its start");
  memory.deallocate(p + 1, 999);
  said("deallocated a pointer into a block, not its start",
       "a pointer comes back that lies inside a block and is not its start");
  memory.deallocate(p, 700);
  said("deallocated a block with another size than it was allocated with",
       "a block comes back with another size than it was allocated with");
  part.deallocate(p, 1000);
  said("deallocated a block through another owner than it was allocated through",
       "deallocated a block through another owner than it was allocated through");
  memory.deallocate(p + 1024, 1);
  said("deallocated a block that is free already", "a pointer comes back that is of no block");
  memory.deallocate(p, 1000, 8);
  EXPECT_TRUE(reports.empty());
  memory.deallocate(p, 1000, 8);
  ASSERT_EQ(reports.size(), 1U);
  EXPECT_STREQ(reports[0].sentence, mem::inspected() ? "a block comes back that was deallocated before"
                                                     : "deallocated a block that is free already");
  expect_sums(memory);
}

TEST_F(FragmentResource, KeepsSmallBlocksWithinAPage) {
  fragment_resource memory(&upstream);
  std::vector<std::pair<std::byte*, std::size_t>> blocks;
  for (std::size_t bytes = 1; bytes <= page; bytes += 300) {
    auto* const p = static_cast<std::byte*>(memory.allocate(bytes));
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(p) / page, reinterpret_cast<std::uintptr_t>(p + bytes - 1) / page);
    blocks.emplace_back(p, bytes);
  }
  for (const auto& [p, bytes] : blocks) memory.deallocate(p, bytes);
}

TEST_F(FragmentResource, GrowsAsAllowedAndGivesBackWhatItGrewBy) {
  fragment_resource memory(&upstream, {.region_bytes = 16 * page, .max_regions = 2});
  void* const a = memory.allocate(16 * page);
  void* const b = memory.allocate(page);
  EXPECT_EQ(memory.capacity(), 32 * page) << "as large as what was there";
  void* const c = memory.allocate(15 * page);
  EXPECT_NE(failure_of(memory, 1), "");
  expect_sums(memory);
  memory.deallocate(b, page);
  EXPECT_EQ(memory.trim(), 0U);
  memory.deallocate(c, 15 * page);
  const std::size_t held = memory.stats().upstream;
  EXPECT_EQ(memory.trim(), 16 * page);
  EXPECT_EQ(memory.stats().upstream, held - 16 * page);
  expect_sums(memory);
  void* const d = memory.allocate(3 * page);
  EXPECT_EQ(memory.capacity(), 32 * page) << "its tables served again";
  EXPECT_TRUE(memory.owns(d));
  memory.deallocate(a, 16 * page);
  memory.deallocate(d, 3 * page);
  memory.release();
  EXPECT_EQ(upstream.live().bytes, 0U);
  memory.deallocate(memory.allocate(16 * page), 16 * page);
  expect_sums(memory);
}

TEST_F(FragmentResource, GrowsForARequestLargerThanItsRegions) {
  fragment_resource memory(&upstream, {.region_bytes = page, .max_regions = 8});
  void* const p = memory.allocate(5 * mib, 2 * mib);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(p) % (2 * mib), 0U);
  memory.deallocate(p, 5 * mib, 2 * mib);
  expect_sums(memory);
}

TEST_F(FragmentResource, IsAsItWasWhenUpstreamFailsToGrowIt) {
  test::failing_resource failing(&upstream);
  fragment_resource memory(&failing, {.region_bytes = page, .max_regions = 4});
  void* const p = memory.allocate(page);
  for (std::size_t n = 1; n <= 2; ++n) {
    failing.from(n);
    const test::balance before = upstream.live();
    EXPECT_THROW((void)memory.allocate(page), std::bad_alloc);
    EXPECT_EQ(upstream.live(), before);
    expect_sums(memory);
  }
  failing.never();
  memory.deallocate(memory.allocate(page), page);
  memory.deallocate(p, page);
  failing.from(1);
  EXPECT_THROW(fragment_resource<>{&failing}, std::bad_alloc);
}

TEST_F(FragmentResource, WorksInMemoryOfTheCallers) {
  alignas(64) static std::array<std::byte, 100'000> own;
  std::memset(own.data(), 0xFF, own.size());
  fragment_resource memory(std::span<std::byte>(own).subspan(1));
  EXPECT_GE(memory.capacity(), 9 * page) << "tables, and the way to the first page, cost less than three pages";
  const std::size_t all = memory.capacity();
  void* const p = memory.allocate(all);
  EXPECT_GE(static_cast<std::byte*>(p), own.data());
  EXPECT_LE(static_cast<std::byte*>(p) + all, own.data() + own.size());
  std::memset(p, 0xFF, all);
  expect_sums(memory);
  memory.release();
  EXPECT_EQ(memory.allocate(all), p);
  memory.deallocate(p, all);
  EXPECT_THROW(fragment_resource<>(std::span<std::byte>(own).first(8000)), std::invalid_argument);
  EXPECT_THROW(fragment_resource<>(std::span<std::byte>()), std::invalid_argument);
}

TEST_F(FragmentResource, ResizesInPlaceWhereItFits) {
  fragment_resource memory(&upstream, {.region_bytes = 4 * page});
  void* const p = memory.allocate(3 * page);
  EXPECT_TRUE(memory.try_resize(p, 3 * page, 3 * page - 100));
  EXPECT_FALSE(memory.try_resize(p, 3 * page - 100, 3 * page + 1));
  EXPECT_TRUE(memory.try_resize(p, 3 * page - 100, 300));
  EXPECT_EQ(memory.stats().live, 300U);
  EXPECT_EQ(memory.owner(p).bytes, 512U);
  expect_sums(memory);
  memory.deallocate(memory.allocate(3 * page), 3 * page);
  memory.deallocate(p, 300);
  (void)memory.trim();  // under an inspector it waits
  EXPECT_EQ(memory.largest_free(), 4 * page);
  EXPECT_TRUE(reports.empty());
}

TEST_F(FragmentResource, ReportsLiveBlocksAtTheEndWhenAskedTo) {
  {
    fragment_resource memory(&upstream, {.live_at_end_is_misuse = true});
    (void)memory.allocate(1);
  }
  ASSERT_EQ(reports.size(), 1U);
  EXPECT_STREQ(reports[0].sentence, "destroyed with live blocks: their regions are gone");
  EXPECT_EQ(upstream.live().bytes, 0U);
}

TEST_F(FragmentResource, ServesManyThreadsThatTrimGrowAndExhaustIt) {
  fragment_resource memory(&upstream, {.region_bytes = 8 * page, .max_regions = 3});
  std::atomic<std::size_t> wrong{0};
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937 random(t);
      std::vector<std::pair<unsigned char*, std::size_t>> blocks;
      const auto give_back = [&] {
        const auto [p, bytes] = blocks.back();
        for (std::size_t i = 0; i < bytes; i += 64) wrong += p[i] != static_cast<unsigned char>(t + 1);
        memory.deallocate(p, bytes);
        blocks.pop_back();
      };
      for (int i = 0; i < 4'000; ++i) {
        if (i % 500 == 0) memory.trim();
        if (blocks.size() > 8 || (!blocks.empty() && random() % 2 == 0)) {
          give_back();
          continue;
        }
        const std::size_t bytes = 1 + random() % (2 * page);
        try {
          auto* const p = static_cast<unsigned char*>(memory.allocate(bytes));
          std::memset(p, static_cast<int>(t + 1), bytes);
          blocks.emplace_back(p, bytes);
        } catch (const std::bad_alloc&) {
        }
      }
      while (!blocks.empty()) give_back();
    });
  }
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(wrong, 0U);
  EXPECT_EQ(memory.stats().live, 0U);
  EXPECT_TRUE(reports.empty());
  expect_sums(memory);
}

TEST_F(FragmentResource, GoesOnInAChildOfFork) {
  fragment_resource memory(&upstream, {.region_bytes = 8 * page});
  std::atomic<bool> stop{false};
  std::thread busy([&] {
    while (!stop) memory.deallocate(memory.allocate(2 * page), 2 * page);
  });
  void* const p = memory.allocate(page);
  // Where blocks wait, those of the other thread lie anywhere.
  const std::size_t bytes = mem::inspected() ? page : 5 * page;
  for (int i = 0; i < 100; ++i) {
    const pid_t child = fork();
    if (child == 0) {
      memory.deallocate(p, page);
      memory.deallocate(memory.allocate(bytes), bytes);
      _exit(memory.check().found() ? 1 : 0);
    }
    int status = -1;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_EQ(status, 0);
  }
  stop = true;
  busy.join();
  memory.deallocate(p, page);
  expect_sums(memory);
}

}  // namespace
}  // namespace strata::pmr
