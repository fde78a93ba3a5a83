// SPDX-License-Identifier: Apache-2.0
// Claims beyond conformance: the second upstream is asked when the first throws std::bad_alloc or what derives from it,
// and then only, and unchanged; each block goes back to who gave it, whichever way that is known, in any order, also
// when an address comes from the other one next; when both refuse, the second's exception comes through; how often and
// why is told; figures add up and join with those of both upstreams; report and check see both; a set that cannot grow
// refuses the request and nothing has changed, and room once made needs no OS; deallocating allocates nothing; misuse
// has its sentence and no effect; options that cannot be are refused; in a stack what is below is the first upstream;
// several threads; a child of fork() goes on.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <memory_resource>
#include <mutex>
#include <new>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "tests/os_script/os_script.h"
#include "tests/pmr/region.h"
#include "tests/support/counting_default.h"
#include "tests/support/failing_resource.h"
#include "tests/support/recording_resource.h"
#include "tests/support/refusal.h"

import strata.pmr;

namespace strata::pmr {
namespace {

using test::failing_resource;
using test::recording_resource;
using test::region;
using test::request;
using any_resource = std::pmr::memory_resource;

static_assert(fallback_resource<limit_adaptor<page_resource>, page_resource>::thread_safe);
static_assert(!fallback_resource<page_resource, heap_resource<>>::thread_safe);
static_assert(!fallback_resource<heap_resource<>, page_resource>::thread_safe);
static_assert(fallback_resource<heap_resource<>, page_resource>::max_alignment == heap_resource<>::max_alignment);
static_assert(fallback_resource<page_resource, heap_resource<>>::max_alignment == heap_resource<>::max_alignment);
static_assert(fallback_resource<page_resource, page_resource>::zeroed);
static_assert(!fallback_resource<>::can_release);
static_assert(knows_its_own<fallback_resource<region, region>>);
static_assert(!knows_its_own<fallback_resource<region, any_resource>>);
static_assert(knows_its_own<fallback_resource<fallback_resource<region, region>, region>>);

static_assert(knows_its_own<fragment_resource<>> && knows_its_own<mempool_resource<>>);
static_assert(knows_its_own<stack<pages, mempool>> && !knows_its_own<stack<pages, heap>>);
static_assert(knows_its_own<fallback_resource<stack<pages, mempool>, mempool_resource<>>>);

std::string text_of(const layer& top) {
  char* text = nullptr;
  std::size_t length = 0;
  std::FILE* const out = ::open_memstream(&text, &length);
  top.write_report(out);
  std::fclose(out);
  std::string copy(text, length);
  std::free(text);
  return copy;
}

struct Fallback : testing::Test {
  recording_resource first_blocks;
  recording_resource second_blocks;
  failing_resource first{&first_blocks};
  failing_resource second{&second_blocks};
  fallback_resource<> memory{&first, &second};
};

TEST_F(Fallback, AsksTheSecondWhenTheFirstHasNoMemoryAndThenOnly) {
  void* const p = memory.allocate(100, 8);
  EXPECT_EQ(second.requests(), 0U);
  first.at(1);
  void* const q = memory.allocate(200, 64);
  void* const r = memory.allocate(300, 8);
  EXPECT_EQ(second.requests(), 1U);
  EXPECT_EQ(second_blocks.requests()[0], (request{200, 64, true}));
  EXPECT_EQ(memory.fallbacks(), 1U);
  memory.deallocate(r, 300, 8);
  memory.deallocate(p, 100, 8);
  EXPECT_EQ(first_blocks.live().blocks, 0U);
  EXPECT_EQ(second_blocks.live().blocks, 1U);
  memory.deallocate(q, 200, 64);
  EXPECT_EQ(second_blocks.live().blocks, 0U);
}

TEST_F(Fallback, FallsBackOnWhatDerivesFromBadAllocToo) {
  struct no_room : std::bad_array_new_length {};
  first.throwing<no_room>();
  first.at(1);
  memory.deallocate(memory.allocate(10), 10);
  EXPECT_EQ(memory.fallbacks(), 1U);
}

// Has another trouble than memory.
class broken final : public std::pmr::memory_resource {
  void* do_allocate(std::size_t, std::size_t) override { throw std::runtime_error("the segment is gone"); }
  void do_deallocate(void*, std::size_t, std::size_t) override {}
  [[nodiscard]] bool do_is_equal(const any_resource& other) const noexcept override { return this == &other; }
};

TEST_F(Fallback, LetsWhateverElseTheFirstThrowsThrough) {
  broken other_trouble;
  fallback_resource unlucky(&other_trouble, &second);
  EXPECT_THROW((void)unlucky.allocate(10), std::runtime_error);
  EXPECT_EQ(second.requests(), 0U);
  EXPECT_EQ(unlucky.stats().failures, 1U);
}

TEST_F(Fallback, TheSecondHasTheLastWord) {
  struct first_error : std::bad_alloc {};
  struct second_error : std::bad_alloc {};
  first.throwing<first_error>();
  second.throwing<second_error>();
  void* const p = memory.allocate(10);
  first.from(1);
  void* const q = memory.allocate(20);
  const statistics before = memory.stats();
  second.from(1);
  EXPECT_THROW((void)memory.allocate(30), second_error);
  const statistics after = memory.stats();
  EXPECT_EQ(after.live, before.live);
  EXPECT_EQ(after.from_second, before.from_second);
  EXPECT_EQ(after.live_blocks, before.live_blocks);
  EXPECT_EQ(after.failures, before.failures + 1);
  EXPECT_EQ(memory.fallbacks(), 1U) << "who was not served did not fall back";
  memory.deallocate(q, 20);
  memory.deallocate(p, 10);
  second.never();
}

TEST_F(Fallback, SizesThatCannotBeAreRefusedByBothAndChangeNothing) {
  for (const std::size_t bytes : {SIZE_MAX, SIZE_MAX - 4095, SIZE_MAX / 2 + 1}) {
    EXPECT_THROW((void)memory.allocate(bytes, 4096), std::bad_alloc);
  }
  EXPECT_EQ(memory.stats().failures, 3U);
  EXPECT_EQ(memory.fallbacks(), 0U);
}

TEST_F(Fallback, ZeroBytesAndOverAlignedBlocksGoBackToWhoGaveThem) {
  std::vector<std::pair<void*, std::size_t>> blocks;
  for (std::size_t alignment = 1; alignment <= 65'536; alignment *= 2) {
    first.at(1);
    blocks.emplace_back(memory.allocate(0, alignment), alignment);  // the second's
    blocks.emplace_back(memory.allocate(0, alignment), alignment);  // the first's
  }
  EXPECT_EQ(first_blocks.live().blocks, 17U);
  EXPECT_EQ(second_blocks.live().blocks, 17U);
  for (const auto& [p, alignment] : blocks) {
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(p) % alignment, 0U);
    memory.deallocate(p, 0, alignment);
  }
  EXPECT_EQ(first_blocks.live().blocks + second_blocks.live().blocks, 0U);
}

// Each resource notices what is not its own; blocks come from either at random and go back in any order, so that most
// addresses are the other one's sooner or later.
TEST_F(Fallback, EveryBlockGoesBackToWhoGaveItInAnyOrder) {
  const std::uint64_t seed = 11;
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937_64 random(seed);
  first.at_random(0.3, seed);
  std::vector<std::pair<void*, std::size_t>> blocks;
  for (int i = 0; i < 30'000; ++i) {
    if (blocks.empty() || random() % 100 < (i / 5000 % 2 == 0 ? 70U : 30U)) {
      const std::size_t bytes = random() % 300;
      blocks.emplace_back(memory.allocate(bytes), bytes);
    } else {
      std::swap(blocks[random() % blocks.size()], blocks.back());
      memory.deallocate(blocks.back().first, blocks.back().second);
      blocks.pop_back();
    }
    ASSERT_EQ(memory.stats().live, first_blocks.live().bytes + second_blocks.live().bytes);
    ASSERT_EQ(memory.stats().from_second, second_blocks.live().bytes);
  }
  EXPECT_FALSE(memory.check().found());
  for (const auto& [p, bytes] : blocks) memory.deallocate(p, bytes);
  EXPECT_GT(memory.fallbacks(), 1000U);
  EXPECT_FALSE(memory.check().found());
}

// The same where an upstream tells its own.
template <class First, class Second>
void every_block_goes_back(First& first, Second& second, const recording_resource& counted) {
  const std::uint64_t seed = 12;
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937_64 random(seed);
  fallback_resource memory(&first, &second);
  std::vector<std::pair<void*, std::size_t>> blocks;
  const test::balance before = counted.live();
  for (int i = 0; i < 5000; ++i) {
    if (blocks.empty() || random() % 100 < (i / 500 % 2 == 0 ? 90U : 20U)) {
      const std::size_t bytes = random() % 300;
      blocks.emplace_back(memory.allocate(bytes), bytes);
    } else {
      std::swap(blocks[random() % blocks.size()], blocks.back());
      memory.deallocate(blocks.back().first, blocks.back().second);
      blocks.pop_back();
    }
  }
  EXPECT_NE(counted.live(), before);
  for (const auto& [p, bytes] : blocks) memory.deallocate(p, bytes);
  EXPECT_EQ(counted.live(), before);
  EXPECT_EQ(memory.stats().live, 0U);
  EXPECT_EQ(memory.stats().from_second, 0U);
  EXPECT_GT(memory.fallbacks(), 100U);
  EXPECT_FALSE(memory.check().found());
}

TEST(FallbackResource, AsksTheFirstWhereItCanTell) {
  recording_resource below;
  region first(&below, 8192);
  every_block_goes_back(first, below, below);
}

TEST(FallbackResource, AsksTheSecondWhereOnlyThatCanTell) {
  recording_resource below;
  region second(std::pmr::new_delete_resource(), std::size_t{4} << 20);
  limit_adaptor first(&below, limit{.bytes = 10'000});
  every_block_goes_back(first, second, below);
}

TEST(FallbackResource, ThatAsksAnUpstreamTakesNoMemoryOfItsOwn) {
  region first(std::pmr::new_delete_resource(), 4096);
  test::os_script script;
  fallback_resource memory(&first, fallback{.second = std::pmr::new_delete_resource(), .known_blocks = 1'000'000});
  memory.deallocate(memory.allocate(10'000), 10'000);
  EXPECT_EQ(memory.fallbacks(), 1U);
  EXPECT_EQ(script.calls(test::os_call::mmap), 0U);
  EXPECT_LT(sizeof(memory), 512U);
}

TEST(FallbackResource, ChainsOfThreeFindTheirWayBack) {
  recording_resource below;
  region a(&below, 4096);
  region b(&below, 8192);
  fallback_resource two(&a, &b);
  fallback_resource three(&two, fallback<any_resource>{.second = &below, .name = "three"});
  std::vector<void*> blocks;
  for (int i = 0; i < 40; ++i) blocks.push_back(three.allocate(512));
  EXPECT_EQ(two.stats().live, 4096U + 8192);
  EXPECT_EQ(two.fallbacks(), 16U);
  EXPECT_EQ(three.fallbacks(), 16U);
  EXPECT_EQ(three.stats().from_second, 16U * 512);
  EXPECT_TRUE(two.owns(blocks[8]));
  EXPECT_FALSE(two.owns(blocks[24]));
  for (void* const p : blocks) three.deallocate(p, 512);
  EXPECT_EQ(three.stats().live, 0U);
  EXPECT_EQ(below.live().blocks, 2U) << "the two regions";
}

TEST_F(Fallback, SaysHowOftenAndWhy) {
  page_resource pages_below;
  fallback_resource told(&pages_below, fallback{.second = &second, .name = "orders"});
  {
    test::os_script script;
    script.fail_always(test::os_call::mmap, ENOMEM);
    for (int i = 0; i < 3; ++i) told.deallocate(told.allocate(100), 100);
    script.fail_always(test::os_call::mmap, 0);
  }
  const std::string text = text_of(told);
  EXPECT_NE(text.find("orders is degraded, 3 times: the first upstream refused requests and the second served them; "
                      "give the first more memory (mmap: ENOMEM)\n"),
            std::string::npos)
      << text;
  std::array<degradation, 2> states{};
  EXPECT_EQ(told.degraded(states), 1U);
  EXPECT_EQ(memory.degraded(states), 0U) << "that one never fell back";
}

TEST_F(Fallback, ACauseThatIsNotKnownIsNotInvented) {
  first.at(1);
  memory.deallocate(memory.allocate(1), 1);
  std::array<degradation, 2> states{};
  ASSERT_EQ(memory.degraded(states), 1U);
  EXPECT_EQ(states[0].times, 1U);
  EXPECT_FALSE(states[0].cause.failed());
}

TEST(FallbackResource, FiguresAddUpAndJoinWithThoseOfBothUpstreams) {
  page_resource small_pool(pages{.name = "pool"});
  limit_adaptor first(&small_pool, limit{.name = "budget", .bytes = 10'000});
  page_resource second(pages{.name = "reserve"});
  fallback_resource memory(&first, fallback{.second = &second, .name = "either"});
  std::vector<void*> blocks;
  for (std::size_t i = 0; i < 20; ++i) {
    blocks.push_back(memory.allocate(1000 + i));
    const statistics s = memory.stats();
    EXPECT_EQ(s.upstream, s.live + s.kept + s.overhead);
    EXPECT_EQ(s.upstream - s.from_second, first.stats().live);
    EXPECT_EQ(s.from_second, second.stats().live);
  }
  EXPECT_EQ(memory.stats().failures, 0U);
  EXPECT_EQ(first.stats().failures, memory.fallbacks());
  report rows;
  memory.collect(rows);
  ASSERT_EQ(rows.rows().size(), 4U);
  EXPECT_STREQ(rows.rows()[0].name, "pool");
  EXPECT_STREQ(rows.rows()[1].name, "budget");
  EXPECT_STREQ(rows.rows()[2].name, "reserve");
  EXPECT_STREQ(rows.rows()[3].name, "either");
  for (std::size_t i = 0; i < 20; ++i) memory.deallocate(blocks[i], 1000 + i);
  EXPECT_EQ(memory.stats().upstream, 0U);
  EXPECT_EQ(memory.stats().live_blocks, 0U);
}

TEST(FallbackResource, CheckFindsWhatIsWrongBelowEither) {
  class wrong_books final : public direct_layer<wrong_books> {
   public:
    explicit wrong_books(any_resource* below) : direct_layer("wrong", below) {}
    [[nodiscard]] statistics stats() const noexcept override { return {}; }
    [[nodiscard]] fault check() const noexcept override { return {"wrong", this}; }

   private:
    friend direct_layer;
    void* do_allocate(std::size_t, std::size_t) override { throw std::bad_alloc(); }
    void do_deallocate(void*, std::size_t, std::size_t) override {}
  };
  wrong_books wrong(std::pmr::new_delete_resource());
  page_resource right;
  const fallback_resource as_first(&wrong, &right);
  const fallback_resource as_second(&right, &wrong);
  EXPECT_EQ(as_first.check().where, &wrong);
  EXPECT_EQ(as_second.check().where, &wrong);
}

TEST_F(Fallback, AStrayWriteIntoWhatItRemembersIsFoundByCheck) {
  first.at(1);
  void* const p = memory.allocate(10);
  EXPECT_FALSE(memory.check().found());
  auto* const hit = reinterpret_cast<unsigned char*>(&memory) + sizeof(memory) / 2;
  *hit = static_cast<unsigned char>(*hit ^ 4U);
  EXPECT_STREQ(memory.check().sentence, "remembered blocks are more or fewer than were counted");
  EXPECT_EQ(memory.check().where, &memory);
  *hit = static_cast<unsigned char>(*hit ^ 4U);
  memory.deallocate(p, 10);
}

TEST_F(Fallback, ASetThatCannotGrowRefusesTheRequestAndNothingHasChanged) {
  test::os_script script;
  first.from(1);
  script.fail_always(test::os_call::mmap, ENOMEM);
  std::vector<void*> blocks;
  try {
    for (;;) blocks.push_back(memory.allocate(16));
  } catch (const allocation_error& refused) {
    EXPECT_STREQ(refused.what(),
                 "strata: fallback cannot allocate 16 bytes aligned to 16: there is no memory to remember whose block "
                 "it is (mmap: ENOMEM)");
  }
  EXPECT_GE(blocks.size(), fallback<>{}.known_blocks) << "known_blocks need nothing of the OS";
  EXPECT_EQ(second_blocks.live().blocks, blocks.size());
  EXPECT_EQ(memory.stats().live_blocks, blocks.size());
  EXPECT_EQ(memory.stats().from_second, blocks.size() * 16);
  EXPECT_EQ(memory.stats().failures, 1U);
  EXPECT_EQ(memory.fallbacks(), blocks.size());
  script.fail_always(test::os_call::mmap, 0);
  blocks.push_back(memory.allocate(16));
  EXPECT_FALSE(memory.check().found());
  for (void* const p : blocks) memory.deallocate(p, 16);
  EXPECT_EQ(second_blocks.live().blocks, 0U);
}

TEST_F(Fallback, ThatFindsNoRoomForItsSetIsNotMade) {
  {
    test::os_script script;
    script.fail(test::os_call::mmap, 1, ENOMEM);
    EXPECT_THROW(fallback_resource<> never(&first, &second), allocation_error);
  }
  fallback_resource lean(&first, fallback{.second = &second, .known_blocks = 0});
  first.at(1);
  lean.deallocate(lean.allocate(1), 1);
  EXPECT_EQ(lean.fallbacks(), 1U);
}

TEST_F(Fallback, DeallocatingAsksNobodyForMemory) {
  std::vector<void*> blocks;
  blocks.reserve(500);
  for (int i = 0; i < 500; ++i) {
    if (i % 2 == 0) first.at(1);
    blocks.push_back(memory.allocate(32));
  }
  first.from(1);
  second.from(1);
  test::os_script script;
  const test::counting_default watch;
  for (void* const p : blocks) memory.deallocate(p, 32);
  const test::heap_use used = watch.used();
  EXPECT_EQ(used.malloc + used.operator_new + used.default_resource, 0U);
  EXPECT_EQ(first.requests() + second.requests(), 0U);
  EXPECT_EQ(script.calls(test::os_call::mmap), 0U);
}

// Keeps what was reported, so that a test sees what the layer did about it.
misuse last_misuse{};
struct kept_misuse {
  kept_misuse() {
    last_misuse = {};
    set_misuse_handler([](const misuse& what) { last_misuse = what; });
  }
  ~kept_misuse() { set_misuse_handler(nullptr); }
};

TEST_F(Fallback, AnotherSizeOfTheSecondsIsMisuseWithoutEffect) {
  const kept_misuse reports;
  first.at(1);
  void* const p = memory.allocate(100);
  memory.deallocate(p, 90);
  ASSERT_NE(last_misuse.sentence, nullptr);
  EXPECT_STREQ(last_misuse.sentence, "a block of the second upstream comes back with another size than it has");
  EXPECT_STREQ(last_misuse.layer, "fallback");
  EXPECT_EQ(last_misuse.pointer, p);
  EXPECT_EQ(last_misuse.bytes, 90U);
  EXPECT_EQ(memory.stats().live, 100U);
  memory.deallocate(p, 100);
  EXPECT_EQ(memory.stats().live, 0U);
}

TEST(FallbackResource, ABlockOfNeitherIsMisuseWithoutEffectWhereBothCanTell) {
  const kept_misuse reports;
  region first(std::pmr::new_delete_resource(), 4096);
  region second(std::pmr::new_delete_resource(), 4096);
  fallback_resource memory(&first, fallback{.second = &second, .name = "orders"});
  void* const p = memory.allocate(10);
  int elsewhere = 0;
  memory.deallocate(&elsewhere, sizeof elsewhere, alignof(int));
  ASSERT_NE(last_misuse.sentence, nullptr);
  EXPECT_STREQ(last_misuse.sentence, "the block is of neither upstream");
  EXPECT_STREQ(last_misuse.layer, "orders");
  EXPECT_EQ(memory.stats().live_blocks, 1U);
  memory.deallocate(p, 10);
}

void end_with_a_live_block() {
  recording_resource first;
  recording_resource second;
  auto memory = std::make_unique<fallback_resource<>>(
      &first, fallback<>{.second = &second, .name = "orders", .live_at_end_is_misuse = true});
  (void)memory->allocate(10);
  memory.reset();
}

TEST(FallbackResourceDeathTest, LiveBlocksAtTheEndAreMisuseWhereAskedFor) {
  EXPECT_DEATH(end_with_a_live_block(),
               "strata: orders: destroyed with live blocks: nobody gives them back to their upstream any more");
}

void end_the_second_upstream_first() {
  page_resource first;
  auto second = std::make_unique<page_resource>(pages{.name = "reserve"});
  const fallback_resource memory(&first, second.get());
  second.reset();
}

TEST(FallbackResourceDeathTest, AnUpstreamThatDiesFirstIsNamed) {
  EXPECT_DEATH(end_the_second_upstream_first(), "strata: reserve: destroyed while another layer still borrows it");
}

std::string refusal_of(any_resource* first, any_resource* second) {
  return test::refusal_of([&] { const fallback_resource memory(first, fallback{.second = second, .name = "x"}); });
}

TEST_F(Fallback, RefusesUpstreamsThatCannotBe) {
  EXPECT_EQ(refusal_of(&first, nullptr),
            "strata::pmr::fallback \"x\": second is null; say who serves what the first upstream refuses");
  EXPECT_EQ(refusal_of(&first, &first),
            "strata::pmr::fallback \"x\": both upstreams are the same; asking again helps nobody");
}

// What a keeper needs goes to a reserve once the budget is used up.
TEST(FallbackResource, InAStackHasWhatIsBelowAsItsFirstUpstream) {
  page_resource reserve(pages{.name = "reserve"});
  stack memory{pages{}, limit{.bytes = std::size_t{4} << 20}, fallback{.second = &reserve}, slabs{}};
  static_assert(decltype(memory)::thread_safe);
  static_assert(std::is_same_v<std::remove_reference_t<decltype(memory.get<2>())>,
                               fallback_resource<limit_adaptor<page_resource>, page_resource>>);
  std::vector<void*> blocks;
  for (int i = 0; i < 200; ++i) blocks.push_back(memory.allocate(50'000));
  EXPECT_GT(memory.get<2>().fallbacks(), 0U);
  EXPECT_GT(reserve.stats().live, 0U);
  EXPECT_LE(memory.get<1>().stats().live, std::size_t{4} << 20);
  const statistics whole = memory.stats();
  EXPECT_EQ(whole.live, 200U * 50'000);
  EXPECT_EQ(whole.upstream, whole.live + whole.kept + whole.overhead);
  EXPECT_EQ(whole.from_second, reserve.stats().live);
  EXPECT_FALSE(memory.check().found());
  const std::string text = text_of(memory);
  EXPECT_LT(text.find("\nlimit "), text.find("\n  reserve "));
  EXPECT_LT(text.find("\n  reserve "), text.find("\nfallback "));
  EXPECT_NE(text.find("fallback is degraded, "), std::string::npos);
  for (void* const p : blocks) memory.deallocate(p, 50'000);
  memory.top().trim();
  EXPECT_EQ(memory.stats().live, 0U);
}

// Pools that tell their own, one in the stack and one beside it.
TEST(FallbackResource, AFullMempoolOverflowsIntoAnother) {
  stack overflow{pages{}, mempool{.name = "overflow", .segment_bytes = std::size_t{1} << 20}};
  stack memory{pages{}, mempool{.segment_bytes = std::size_t{1} << 20}, fallback{.second = &overflow}};
  static_assert(decltype(memory)::thread_safe && knows_its_own<decltype(memory)>);
  const std::uint64_t seed = 13;
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937_64 random(seed);
  std::vector<std::pair<void*, std::size_t>> blocks;
  const auto fill = [&] {
    try {
      for (;;) {
        const std::size_t bytes = random() % (random() % 8 == 0 ? 20'000 : 300);
        blocks.emplace_back(memory.allocate(bytes), bytes);
        EXPECT_TRUE(memory.owns(blocks.back().first));
      }
    } catch (const allocation_error& full) {
      EXPECT_STREQ(full.layer(), "overflow") << "the second has the last word";
    }
  };
  for (int round = 0; round < 3; ++round) {
    fill();
    EXPECT_GT(overflow.stats().live, std::size_t{512} << 10);
    for (std::size_t left = blocks.size() / 2; left != 0; --left) {
      std::swap(blocks[random() % blocks.size()], blocks.back());
      memory.deallocate(blocks.back().first, blocks.back().second);
      blocks.pop_back();
    }
    EXPECT_FALSE(memory.check().found());
  }
  EXPECT_FALSE(memory.owns(&memory));
  for (const auto& [p, bytes] : blocks) memory.deallocate(p, bytes);
  EXPECT_EQ(memory.stats().live, 0U);
  EXPECT_EQ(overflow.stats().live, 0U);
  EXPECT_GT(memory.top().fallbacks(), 0U);
}

// Each thread has the first upstream refuse it now and then, and gives half of its blocks to the next thread.
TEST(FallbackResource, ServesThreadsThatHandBlocksToEachOther) {
  constexpr std::size_t crew_size = 4;
  recording_resource first_blocks;
  recording_resource second_blocks;
  limit_adaptor first(&first_blocks, limit{.bytes = 20'000});
  fallback_resource memory(&first, &second_blocks);
  std::array<std::vector<std::pair<void*, std::size_t>>, crew_size> boxes;
  std::array<std::mutex, crew_size> locks;
  std::vector<std::thread> crew;
  for (std::size_t t = 0; t < crew_size; ++t) {
    crew.emplace_back([&, t] {
      std::mt19937_64 random(t);
      std::vector<std::pair<void*, std::size_t>> own;
      for (int i = 0; i < 4000; ++i) {
        const std::size_t bytes = random() % 500;
        own.emplace_back(memory.allocate(bytes), bytes);
        if (random() % 2 == 0) {
          const std::lock_guard lock(locks[(t + 1) % crew_size]);
          boxes[(t + 1) % crew_size].push_back(own.back());
          own.pop_back();
        }
        std::pair<void*, std::size_t> came{};
        if (const std::lock_guard lock(locks[t]); !boxes[t].empty()) {
          came = boxes[t].back();
          boxes[t].pop_back();
        }
        if (came.first != nullptr) memory.deallocate(came.first, came.second);
        if (own.size() > 40) {
          std::swap(own[random() % own.size()], own.back());
          memory.deallocate(own.back().first, own.back().second);
          own.pop_back();
        }
      }
      for (const auto& [p, bytes] : own) memory.deallocate(p, bytes);
    });
  }
  for (std::thread& each : crew) each.join();
  for (const auto& box : boxes) {
    for (const auto& [p, bytes] : box) memory.deallocate(p, bytes);
  }
  EXPECT_GT(memory.fallbacks(), 0U);
  EXPECT_EQ(memory.stats().live, 0U);
  EXPECT_EQ(memory.stats().from_second, 0U);
  EXPECT_EQ(first_blocks.live().blocks + second_blocks.live().blocks, 0U);
  EXPECT_FALSE(memory.check().found());
}

// Children die in _exit and say by their status what they found. A hang would be the test's own time limit.
TEST(FallbackResource, ChildrenOfAForkGoOnWhileThreadsOfTheParentDid) {
  page_resource reserve;
  stack second{borrowed{&reserve}, heap{}, synchronized{}};
  stack memory{pages{}, heap{.max_bytes = std::size_t{128} << 10}, synchronized{}, fallback{.second = &second}};
  static_assert(decltype(memory)::thread_safe);
  std::vector<void*> most;
  while (memory.top().fallbacks() == 0) most.push_back(memory.allocate(1000));
  std::atomic<bool> done{false};
  std::vector<std::thread> crew;
  for (std::size_t t = 0; t < 4; ++t) {
    crew.emplace_back([&] {
      while (!done) memory.deallocate(memory.allocate(5000), 5000);
    });
  }
  for (int i = 0; i < 100; ++i) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      memory.deallocate(most.back(), 1000);
      memory.deallocate(memory.allocate(5000), 5000);
      ::_exit(memory.check().found() ? 1 : 0);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "child " << i;
  }
  done = true;
  for (std::thread& each : crew) each.join();
  for (void* const p : most) memory.deallocate(p, 1000);
  EXPECT_EQ(memory.stats().live, 0U);
}

// The hook is registered once in a process, so this needs one that has none yet.
[[noreturn]] void look_at_a_lock_unknown_to_fork() {
  recording_resource first;
  recording_resource second;
  test::os_script script;
  script.fail(test::os_call::pthread_atfork, 1, ENOMEM);
  const fallback_resource memory(&first, &second);
  std::array<degradation, 2> states{};
  const bool told = script.failed(test::os_call::pthread_atfork) == 1 && memory.degraded(states) == 1 &&
                    std::string(states[0].reason).ends_with("may hang; do not fork") && states[0].cause.code == ENOMEM;
  std::_Exit(told ? 0 : 1);
}

TEST(FallbackResourceDeathTest, ALockUnknownToForkIsADegradedState) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(look_at_a_lock_unknown_to_fork(), testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace strata::pmr
