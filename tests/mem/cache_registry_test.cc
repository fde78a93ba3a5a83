// SPDX-License-Identifier: Apache-2.0
// Claims: each thread has its own cache of each owner; a thread's end hands its caches to their owners, once; an
// owner's end takes them from living threads; a number used again finds every table empty; beyond the numbers there
// are, adopting is refused; in the child of a fork the caches of other threads belong to nobody.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstddef>
#include <deque>
#include <latch>
#include <memory>
#include <thread>
#include <vector>

import strata.mem;

namespace strata::mem {
namespace {

// Memory for caches, and what came back.
struct keeper {
  std::deque<std::vector<std::max_align_t>> memory;
  std::vector<thread_cache*> retired;
  cache_owner owner{[](void* self, thread_cache* c) noexcept { static_cast<keeper*>(self)->retired.push_back(c); },
                    this};

  thread_cache* make() {
    memory.emplace_back(thread_cache::bytes() / sizeof(std::max_align_t) + 1);
    return thread_cache::format(memory.back().data());
  }
};

TEST(CacheRegistry, EachThreadHasItsOwn) {
  keeper k;
  EXPECT_EQ(k.owner.mine(), nullptr);
  thread_cache* const here = k.make();
  thread_cache* const there = k.make();
  ASSERT_TRUE(k.owner.adopt(here));
  std::thread([&] {
    EXPECT_EQ(k.owner.mine(), nullptr);
    ASSERT_TRUE(k.owner.adopt(there));
    EXPECT_EQ(k.owner.mine(), there);
  }).join();
  EXPECT_EQ(k.owner.mine(), here);
  EXPECT_EQ(k.retired, (std::vector{there}));
  EXPECT_EQ(k.owner.detach_all(), here);
  EXPECT_EQ(here->next, nullptr);
  EXPECT_EQ(k.owner.mine(), nullptr);
}

TEST(CacheRegistry, ShowsAllCaches) {
  keeper k;
  ASSERT_TRUE(k.owner.adopt(k.make()));
  std::latch adopted(1);
  std::latch seen(1);
  thread_cache* const there = k.make();
  std::thread other([&] {
    (void)k.owner.adopt(there);
    adopted.count_down();
    seen.wait();
  });
  adopted.wait();
  std::size_t count = 0;
  k.owner.visit([&](const thread_cache&) { ++count; });
  EXPECT_EQ(count, 2U);
  seen.count_down();
  other.join();
  k.owner.detach_all();
}

TEST(CacheRegistry, AnOwnersEndLeavesNothingInLivingThreads) {
  std::latch adopted(1);
  std::latch gone(1);
  auto first = std::make_unique<keeper>();
  thread_cache* const cache = first->make();
  cache_owner* second = nullptr;
  std::thread other([&] {
    ASSERT_TRUE(first->owner.adopt(cache));
    adopted.count_down();
    gone.wait();
    EXPECT_EQ(second->mine(), nullptr) << "the number is used again, the cache is not";
  });
  adopted.wait();
  first->owner.detach_all();
  const auto memory = std::move(first->memory);
  first.reset();
  keeper again;
  second = &again.owner;
  gone.count_down();
  other.join();
  EXPECT_TRUE(again.retired.empty());
}

TEST(CacheRegistry, RefusesMoreOwnersThanItHasNumbers) {
  std::deque<keeper> keepers;
  while (keepers.emplace_back().owner.has_number()) ASSERT_LE(keepers.size(), cache_owner::max_owners);
  keeper& without = keepers.back();
  EXPECT_EQ(without.owner.mine(), nullptr);
  EXPECT_FALSE(without.owner.adopt(without.make()));
  keepers.pop_front();
  const keeper another;
  EXPECT_TRUE(another.owner.has_number()) << "a number given back is given out";
}

TEST(CacheRegistry, InAChildCachesOfOtherThreadsBelongToNobody) {
  keeper k;
  thread_cache* const here = k.make();
  ASSERT_TRUE(k.owner.adopt(here));
  thread_cache* const there = k.make();
  std::latch adopted(1);
  std::latch done(1);
  std::thread other([&] {
    (void)k.owner.adopt(there);
    adopted.count_down();
    done.wait();
  });
  adopted.wait();
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const bool right = there->home == nullptr && here->home != nullptr && k.owner.mine() == here;
    k.owner.detach_all();
    ::_exit(right && k.owner.mine() == nullptr ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  done.count_down();
  other.join();
  EXPECT_EQ(k.retired, (std::vector{there}));
  k.owner.detach_all();
}

// A thread that touches the registry from the destructor of a thread_local: its cache is handed over all the same.
struct late {
  keeper* k = nullptr;
  thread_cache* cache = nullptr;
  ~late() {
    if (k != nullptr) (void)k->owner.adopt(cache);
  }
};
thread_local late at_the_end;

TEST(CacheRegistry, TakesCachesAdoptedWhileTheThreadEnds) {
  keeper k;
  thread_cache* const early = k.make();
  thread_cache* const last = k.make();
  std::thread([&] {
    at_the_end.k = &k;
    at_the_end.cache = last;
  }).join();
  EXPECT_EQ(k.retired, (std::vector{last}));
  std::thread([&] { ASSERT_TRUE(k.owner.adopt(early)); }).join();
  EXPECT_EQ(k.retired, (std::vector{last, early}));
}

}  // namespace
}  // namespace strata::mem
