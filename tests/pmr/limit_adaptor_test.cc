// SPDX-License-Identifier: Apache-2.0
// Claims beyond conformance: a request beyond the budget fails, says how much is live of how much, and nothing has
// changed; who is asked may free into the same stack, above and below, at every kind of keeper, with several threads,
// and allocate; an answer that freed nothing does not keep a request for ever; upstream's failure asks too; a limit can be
// moved; figures; options that cannot be are refused with their value.
#include <gtest/gtest.h>

#include <atomic>
#include <cstddef>
#include <memory_resource>
#include <new>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/failing_resource.h"

import strata.pmr;

namespace strata::pmr {
namespace {

std::string message_of(auto&& call) {
  try {
    call();
  } catch (const std::exception& e) {
    return e.what();
  }
  return "nothing was thrown";
}

TEST(LimitAdaptor, SaysHowMuchIsLiveOfHowMuch) {
  limit_adaptor memory(std::pmr::new_delete_resource(), limit{.name = "books", .bytes = 1000});
  void* const p = memory.allocate(900);
  EXPECT_EQ(
      message_of([&] { (void)memory.allocate(101); }),
      "strata: books cannot allocate 101 bytes aligned to 16: 900 of 1000 bytes are live; free some, or raise the "
      "limit");
  EXPECT_EQ(memory.stats().live, 900U);
  EXPECT_EQ(memory.stats().failures, 1U);
  EXPECT_EQ(memory.stats().live_blocks, 1U);
  void* const q = memory.allocate(100);
  memory.deallocate(q, 100);
  memory.deallocate(p, 900);
  EXPECT_EQ(memory.stats().peak, 1000U);
  EXPECT_EQ(memory.stats().live, 0U);
  EXPECT_EQ(memory.suggested_limit(), std::size_t{64} << 10);
}

TEST(LimitAdaptor, CanBeMoved) {
  limit_adaptor memory(std::pmr::new_delete_resource(), limit{.bytes = 100});
  void* const p = memory.allocate(100);
  memory.set_limit(10);
  EXPECT_EQ(memory.limit_bytes(), 10U);
  EXPECT_THROW((void)memory.allocate(1), allocation_error);
  memory.set_limit(101);
  memory.deallocate(memory.allocate(1), 1);
  memory.deallocate(p, 100);
}

TEST(LimitAdaptor, OfAShareIsNoMoreThanThereIs) {
  const limit_adaptor memory(std::pmr::new_delete_resource(), limit{.share = 0.5});
  EXPECT_GT(memory.limit_bytes(), 0U);
  const limit_adaptor all(std::pmr::new_delete_resource(), limit{.share = 1});
  EXPECT_GT(all.limit_bytes(), memory.limit_bytes());
}

TEST(LimitAdaptor, RefusesOptionsThatCannotBe) {
  const auto with = [](const auto& options) {
    return message_of([&] { const limit_adaptor memory(std::pmr::new_delete_resource(), options); });
  };
  EXPECT_EQ(with(limit{.name = "x"}),
            "strata::pmr::limit \"x\": neither bytes nor share is given; a budget of nothing serves nobody");
  EXPECT_EQ(
      with(limit{.name = "x", .share = 1.5}),
      "strata::pmr::limit \"x\": share is 1.500000; it has to be above 0, up to 1, or 0 for a limit in bytes alone");
  EXPECT_NE(with(limit{.name = "x", .share = -1}).find("-1.0"), std::string::npos);
  EXPECT_EQ(with(relieved_limit{.name = "x", .bytes = 1}),
            "strata::pmr::relieved_limit \"x\": when_short is null; say who is asked, or take limit{}");
}

// Holds blocks it can do without, and gives them up one by one.
template <class Memory>
struct hoard {
  Memory* memory = nullptr;
  std::vector<void*> blocks;
  std::size_t bytes = 64;
  int asked = 0;
  shortage last{};

  static bool give_up(void* self, const shortage& what) noexcept {
    auto* const h = static_cast<hoard*>(self);
    ++h->asked;
    h->last = what;
    if (h->blocks.empty()) return false;
    h->memory->deallocate(h->blocks.back(), h->bytes);
    h->blocks.pop_back();
    return true;
  }
};

TEST(RelievedLimit, AsksUntilItFitsOrNothingIsLeft) {
  using memory_type = limit_adaptor<std::pmr::memory_resource, relieved_limit>;
  hoard<memory_type> dispensable;
  memory_type memory(std::pmr::new_delete_resource(),
                     {.name = "books", .bytes = 640, .when_short = dispensable.give_up, .argument = &dispensable});
  dispensable.memory = &memory;
  for (int i = 0; i < 10; ++i) dispensable.blocks.push_back(memory.allocate(64));
  void* const p = memory.allocate(200);
  EXPECT_EQ(dispensable.asked, 4);
  EXPECT_EQ(dispensable.blocks.size(), 6U);
  EXPECT_EQ(dispensable.last.bytes, 200U);
  EXPECT_EQ(dispensable.last.limit, 640U);
  EXPECT_EQ(dispensable.last.live, 7U * 64);
  EXPECT_FALSE(dispensable.last.upstream_failed);
  EXPECT_THROW((void)memory.allocate(641), allocation_error);
  EXPECT_TRUE(dispensable.blocks.empty());
  memory.deallocate(p, 200);
  EXPECT_EQ(memory.stats().live, 0U);
}

TEST(RelievedLimit, DoesNotBelieveAnAnswerThatFreedNothing) {
  int asked = 0;
  limit_adaptor memory(std::pmr::new_delete_resource(), relieved_limit{.bytes = 10,
                                                                       .when_short =
                                                                           [](void* count, const shortage&) noexcept {
                                                                             ++*static_cast<int*>(count);
                                                                             return true;
                                                                           },
                                                                       .argument = &asked});
  EXPECT_THROW((void)memory.allocate(11), allocation_error);
  EXPECT_EQ(asked, 1);
}

TEST(RelievedLimit, AsksWhenUpstreamFails) {
  test::failing_resource upstream(std::pmr::new_delete_resource());
  using memory_type = limit_adaptor<test::failing_resource, relieved_limit>;
  hoard<memory_type> dispensable;
  memory_type memory(&upstream, {.bytes = 10'000, .when_short = dispensable.give_up, .argument = &dispensable});
  dispensable.memory = &memory;
  dispensable.blocks.push_back(memory.allocate(64));
  upstream.at(1);
  void* const p = memory.allocate(100);
  EXPECT_EQ(dispensable.asked, 1);
  EXPECT_TRUE(dispensable.last.upstream_failed);
  upstream.at(1);
  EXPECT_THROW((void)memory.allocate(100), std::bad_alloc) << "nothing is left to give up";
  memory.deallocate(p, 100);
  EXPECT_EQ(memory.stats().live, 0U);
}

TEST(RelievedLimit, WhoIsAskedMayAllocateButIsNotAskedAgain) {
  struct asker {
    limit_adaptor<std::pmr::memory_resource, relieved_limit>* memory = nullptr;
    int asked = 0;
    int failed = 0;
  } who;
  limit_adaptor memory(std::pmr::new_delete_resource(), relieved_limit{.bytes = 100,
                                                                       .when_short =
                                                                           [](void* self, const shortage&) noexcept {
                                                                             auto* const a = static_cast<asker*>(self);
                                                                             ++a->asked;
                                                                             a->memory->deallocate(
                                                                                 a->memory->allocate(10), 10);
                                                                             try {
                                                                               (void)a->memory->allocate(101);
                                                                             } catch (const allocation_error&) {
                                                                               ++a->failed;
                                                                             }
                                                                             return false;
                                                                           },
                                                                       .argument = &who});
  who.memory = &memory;
  EXPECT_THROW((void)memory.allocate(200), allocation_error);
  EXPECT_EQ(who.asked, 1);
  EXPECT_EQ(who.failed, 1);
}

// Below a keeper, which is in the middle of getting memory when its owner is asked.
TEST(RelievedLimit, FreesIntoTheSlabsAboveThatAreAsking) {
  using memory_type = stack<pages, relieved_limit, slabs>;
  struct owner {
    memory_type* memory = nullptr;
    std::vector<void*> dispensable;
    std::atomic<int> asked{0};
  } who;
  memory_type memory(pages{},
                     relieved_limit{.bytes = std::size_t{4} << 20,
                                    .when_short =
                                        [](void* self, const shortage&) noexcept {
                                          auto* const o = static_cast<owner*>(self);
                                          ++o->asked;
                                          for (void* p : o->dispensable) o->memory->deallocate(p, 1000);
                                          o->dispensable.clear();
                                          o->memory->top().trim();
                                          return true;
                                        },
                                    .argument = &who},
                     slabs{});
  who.memory = &memory;
  for (int i = 0; i < 3500; ++i) who.dispensable.push_back(memory.allocate(1000));
  std::vector<void*> large;
  for (int i = 0; i < 50; ++i) large.push_back(memory.allocate(60'000));
  EXPECT_GE(who.asked, 1);
  EXPECT_TRUE(who.dispensable.empty());
  EXPECT_FALSE(memory.check().found());
  for (void* p : large) memory.deallocate(p, 60'000);
}

TEST(RelievedLimit, FreesIntoTheHeapAboveThatIsAsking) {
  using memory_type = stack<pages, relieved_limit, heap>;
  using dispensable_type = hoard<memory_type>;
  dispensable_type dispensable;
  dispensable.bytes = 300'000;
  memory_type memory(pages{},
                     relieved_limit{.bytes = std::size_t{8} << 20,
                                    .when_short =
                                        [](void* self, const shortage& what) noexcept {
                                          bool some = false;
                                          while (dispensable_type::give_up(self, what)) some = true;
                                          return some;
                                        },
                                    .argument = &dispensable},
                     heap{.keep_empty = 0});
  dispensable.memory = &memory;
  for (int i = 0; i < 20; ++i) dispensable.blocks.push_back(memory.allocate(300'000));
  void* const p = memory.allocate(std::size_t{5} << 20);
  EXPECT_GE(dispensable.asked, 1);
  EXPECT_FALSE(memory.check().found());
  memory.deallocate(p, std::size_t{5} << 20);
  EXPECT_EQ(memory.stats().live, 0U);
}

TEST(RelievedLimit, FreesIntoTheCacheAboveThatIsAskingAndDoesNotWaitForItself) {
  using memory_type = stack<pages, relieved_limit, cache>;
  struct owner {
    memory_type* memory = nullptr;
    int failed = 0;
  } who;
  memory_type memory(pages{},
                     relieved_limit{.bytes = std::size_t{256} << 10,
                                    .when_short =
                                        [](void* self, const shortage&) noexcept {
                                          auto* const o = static_cast<owner*>(self);
                                          o->memory->top().trim();
                                          try {
                                            (void)o->memory->top().request();
                                          } catch (const allocation_error&) {
                                            ++o->failed;
                                          }
                                          return true;
                                        },
                                    .argument = &who},
                     cache{.item_bytes = 1024});
  who.memory = &memory;
  EXPECT_THROW(
      {
        for (;;) (void)memory.top().request();
      },
      allocation_error);
  EXPECT_EQ(who.failed, 1) << "the thread that is getting a chunk cannot wait for one";
  EXPECT_FALSE(memory.check().found());
  memory.release();
  memory.top().recycle(memory.top().request());
}

TEST(RelievedLimit, SeveralThreadsFreeWhileTheyAsk) {
  using memory_type = stack<pages, relieved_limit, slabs>;
  std::atomic<memory_type*> there{nullptr};
  memory_type memory(pages{},
                     relieved_limit{.bytes = std::size_t{12} << 20,
                                    .when_short =
                                        [](void* where, const shortage&) noexcept {
                                          auto* const m = static_cast<std::atomic<memory_type*>*>(where)->load();
                                          return m != nullptr && m->top().trim() != 0;
                                        },
                                    .argument = &there},
                     slabs{});
  there = &memory;
  std::vector<std::thread> crew;
  for (unsigned t = 0; t < 4; ++t) {
    crew.emplace_back([&memory, t] {
      for (int round = 0; round < 80; ++round) {
        const std::size_t bytes = std::size_t{500} << ((static_cast<unsigned>(round) + t) % 8);
        std::vector<void*> held;
        try {
          for (std::size_t sum = 0; sum < (std::size_t{2} << 20); sum += bytes) held.push_back(memory.allocate(bytes));
        } catch (const std::bad_alloc&) {
        }
        for (void* p : held) memory.deallocate(p, bytes);
      }
    });
  }
  for (std::thread& t : crew) t.join();
  EXPECT_EQ(memory.stats().live, 0U);
  EXPECT_LE(memory.get<1>().stats().peak, std::size_t{12} << 20);
  EXPECT_FALSE(memory.check().found());
}

}  // namespace
}  // namespace strata::pmr
