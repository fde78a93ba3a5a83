// SPDX-License-Identifier: Apache-2.0
// Claims beyond conformance: making a pool asks nobody; request never returns null and recycle takes it back, null
// included; threads never own one object at once, and none is lost; who finds the pool empty together makes it grow
// once, and shares the failure; large and over-aligned types are served; misuse is one sentence each, changes nothing,
// and by default aborts; construct gives back what it could not use; a million chunks are given back on a small stack;
// figures add up; children forked while others work allocate and deallocate; static and thread-local destructors may
// use a pool.
#include <gtest/gtest.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory_resource>
#include <mutex>
#include <new>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/support/counting_default.h"
#include "tests/support/failing_resource.h"
#include "tests/support/recording_resource.h"
#include "tests/support/sanitizer.h"

import strata.mem;
import strata.pmr;

namespace strata::pmr {
namespace {

struct counter {
  std::size_t uses = 0;
  std::size_t weak = 0;
};

std::vector<misuse> reports;
void remember(const misuse& what) { reports.push_back(what); }

// While an inspector runs the process, a pool knows more of its blocks, and says so in other sentences.
const char* said(const char* otherwise, const char* inspected) { return mem::inspected() ? inspected : otherwise; }
std::string counters(const char* otherwise, const char* inspected) {
  return std::string("strata: counters: ") + said(otherwise, inspected);
}

constexpr const char* kTwice = "a block comes back that was deallocated before";
constexpr const char* kInside = "a pointer comes back that lies inside a block and is not its start";
constexpr const char* kNoBlock = "a pointer comes back that is of no block";
constexpr const char* kAnothers = "a block comes back that is of another memory";
constexpr const char* kOtherSize = "a block comes back with another size than it was allocated with";

struct ObjectPool : testing::Test {
  test::recording_resource recorder;
  test::failing_resource upstream{&recorder};

  void SetUp() override { reports.clear(); }
  void TearDown() override { set_misuse_handler(nullptr); }
};

void expect_sums(const layer& l) {
  const statistics s = l.stats();
  EXPECT_EQ(s.upstream, s.live + s.kept + s.overhead);
  EXPECT_FALSE(l.check().found()) << l.check().sentence;
}

TEST_F(ObjectPool, AsksNobodyUntilTheFirstRequest) {
  const test::counting_default watch;
  const object_pool<counter> pool(&upstream);
  EXPECT_EQ(watch.used(), test::heap_use());
  EXPECT_EQ(recorder.request_count(), 0U);
  EXPECT_EQ(pool.stats().upstream, 0U);
}

TEST_F(ObjectPool, ServesAChunkOfObjectsFromOneRequest) {
  object_pool<counter> pool(&upstream, {.name = "counters"});
  std::vector<void*> objects;
  for (std::size_t i = 0; i < pool.items_per_chunk(); ++i) objects.push_back(pool.request());
  EXPECT_EQ(pool.chunks(), 1U);
  EXPECT_EQ(pool.stats().kept, 0U);
  expect_sums(pool);
  objects.push_back(pool.request());
  EXPECT_EQ(pool.chunks(), 2U);
  EXPECT_EQ(pool.stats().live, objects.size() * sizeof(counter));
  EXPECT_EQ(pool.stats().live_blocks, objects.size());
  expect_sums(pool);
  for (void* const p : objects) pool.recycle(p);
  EXPECT_EQ(pool.stats().live, 0U);
  EXPECT_EQ(pool.stats().peak, objects.size() * sizeof(counter)) << "figures were asked for at the peak";
  expect_sums(pool);
  EXPECT_STREQ(pool.name(), "counters");
}

TEST_F(ObjectPool, GivesAgainWhatCameBackLast) {
  object_pool<counter> pool(&upstream);
  void* const p = pool.request();
  (void)pool.request();
  pool.recycle(p);
  if (mem::inspected()) {
    EXPECT_NE(pool.request(), p) << "what was freed waits";
  } else {
    EXPECT_EQ(pool.request(), p);
  }
}

TEST_F(ObjectPool, HasOneOwnerForAnObject) {
  constexpr int threads = 4;
  constexpr std::size_t cycles = 10'000;
  object_pool<counter> pool(&upstream, {.chunk_bytes = 1024});
  std::mutex mutex;
  std::map<void*, int> owner;
  std::vector<std::thread> crew;
  for (int t = 1; t <= threads; ++t) {
    crew.emplace_back([&, t] {
      std::mt19937 random(static_cast<unsigned>(t));
      std::vector<counter*> held;
      for (std::size_t i = 0; i < cycles; ++i) {
        if (held.size() < 100 && (held.empty() || random() % 2 == 0)) {
          counter* const c = pool.construct(counter{i, 7});
          const std::lock_guard lock(mutex);
          EXPECT_TRUE(owner.emplace(c, t).second);
          held.push_back(c);
        } else {
          std::swap(held[random() % held.size()], held.back());
          counter* const c = held.back();
          held.pop_back();
          EXPECT_EQ(c->weak, 7U);
          {
            const std::lock_guard lock(mutex);
            EXPECT_EQ(owner.erase(c), 1U);
          }
          pool.destroy(c);
        }
      }
      for (counter* const c : held) {
        {
          const std::lock_guard lock(mutex);
          owner.erase(c);
        }
        pool.destroy(c);
      }
    });
  }
  for (std::thread& t : crew) t.join();
  expect_sums(pool);
  EXPECT_EQ(pool.stats().live, 0U);
  const std::size_t slots = pool.chunks() * pool.items_per_chunk();
  EXPECT_EQ(pool.stats().kept,
            slots * (mem::inspected() ? pool.chunk_bytes() / pool.items_per_chunk() / 16 * 16 : sizeof(counter)));
  EXPECT_GT(pool.chunks(), 0U);
  pool.trim();
  EXPECT_EQ(pool.chunks(), 0U) << "a chunk only goes when all its objects are there";
}

/// Answers a request for a chunk when so many threads wait for the answer.
class gate final : public std::pmr::memory_resource {
 public:
  gate(std::pmr::memory_resource* upstream, std::size_t threads) : upstream_(upstream), waiters_(threads - 1) {}
  const object_pool<counter>* pool = nullptr;
  bool open = false;

 private:
  void* do_allocate(std::size_t bytes, std::size_t alignment) override {
    while (!open && bytes == pool->chunk_bytes() && pool->waiting() != waiters_) std::this_thread::yield();
    return upstream_->allocate(bytes, alignment);
  }
  void do_deallocate(void* p, std::size_t bytes, std::size_t alignment) override {
    upstream_->deallocate(p, bytes, alignment);
  }
  [[nodiscard]] bool do_is_equal(const std::pmr::memory_resource& other) const noexcept override {
    return this == &other;
  }

  std::pmr::memory_resource* const upstream_;
  const std::size_t waiters_;
};

struct outcome {
  int served = 0;
  int refused = 0;
};

outcome request_together(object_pool<counter>& pool, int threads) {
  std::atomic<int> served{0};
  std::atomic<int> refused{0};
  std::vector<std::thread> crew;
  for (int t = 0; t < threads; ++t) {
    crew.emplace_back([&] {
      try {
        EXPECT_NE(pool.request(), nullptr);
        ++served;
      } catch (const std::bad_alloc&) {
        ++refused;
      }
    });
  }
  for (std::thread& t : crew) t.join();
  return {served, refused};
}

TEST_F(ObjectPool, GrowsOnceForAllWhoFindItEmptyTogether) {
  gate entry(&upstream, 6);
  object_pool<counter> pool(&entry);
  entry.pool = &pool;
  const outcome result = request_together(pool, 6);
  EXPECT_EQ(result.served, 6);
  EXPECT_EQ(pool.chunks(), 1U);
  EXPECT_EQ(pool.stats().live_blocks, 6U);
}

TEST_F(ObjectPool, SharesAFailureAndWorksOnAfterwards) {
  gate entry(&upstream, 6);
  object_pool<counter> pool(&entry);
  entry.pool = &pool;
  upstream.from(1);
  const outcome result = request_together(pool, 6);
  EXPECT_EQ(result.refused, 6);
  EXPECT_EQ(upstream.requests(), 1U);
  EXPECT_EQ(pool.stats().failures, 6U);
  expect_sums(pool);
  upstream.never();
  entry.open = true;
  EXPECT_NE(pool.request(), nullptr);
  EXPECT_EQ(pool.stats().live_blocks, 1U);
}

TEST_F(ObjectPool, SaysWhyItsWaitersFailed) {
  gate entry(&upstream, 2);
  object_pool<counter> pool(&entry, {.name = "counters"});
  entry.pool = &pool;
  upstream.from(1);
  std::atomic<int> told{0};
  std::vector<std::thread> crew;
  for (int t = 0; t < 2; ++t) {
    crew.emplace_back([&] {
      try {
        pool.expand(1);
      } catch (const allocation_error& e) {
        EXPECT_STREQ(e.layer(), "counters");
        ++told;
      } catch (const std::bad_alloc&) {
      }
    });
  }
  for (std::thread& t : crew) t.join();
  EXPECT_EQ(told, 1);
}

struct alignas(4096) page {
  std::byte bytes[4096];
};

TEST_F(ObjectPool, TakesALargerChunkForLargeObjects) {
  object_pool<page> pool(&upstream, {.chunk_bytes = 4096});
  EXPECT_EQ(pool.item_stride(), 4096U);
  page* const p = pool.construct();
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(p) % 4096, 0U);
  EXPECT_GE(pool.items_per_chunk(), 8U);
  pool.destroy(p);
  expect_sums(pool);
}

TEST_F(ObjectPool, SaysOneSentenceForEachMisuseAndGoesOn) {
  set_misuse_handler(remember);
  object_pool<counter> pool(&upstream, {.name = "counters"});
  object_pool<counter> other(&upstream);
  void* const p = pool.request();
  void* const q = pool.request();
  pool.recycle(nullptr);
  EXPECT_TRUE(reports.empty());
  pool.recycle(p);
  pool.recycle(p);
  pool.recycle(static_cast<std::byte*>(q) + 1);
  pool.recycle(&pool);
  pool.recycle(other.request());
  pool.free_array(q, 2);
  void* const array = pool.alloc_array(3);
  pool.free_array(array, 4);
  other.free_array(array, 3);
  pool.free_array(static_cast<std::byte*>(array) + 16, 2);
  pool.free_array(array, static_cast<std::size_t>(-1));
  pool.free_array(array, 3);
  ASSERT_EQ(reports.size(), 9U);
  EXPECT_STREQ(reports[0].sentence, said("the slot is free already", kTwice));
  EXPECT_EQ(reports[0].pointer, p);
  EXPECT_STREQ(reports[0].layer, "counters");
  EXPECT_STREQ(reports[1].sentence,
               said("the pointer is in a chunk of this pool, but not the start of a slot", kInside));
  EXPECT_STREQ(reports[2].sentence, said("the pointer is no slot of this pool", kNoBlock));
  EXPECT_EQ(reports[2].pointer, &pool);
  EXPECT_STREQ(reports[3].sentence, mem::checked ? kAnothers : "the pointer is no slot of this pool");
  EXPECT_STREQ(reports[4].sentence, said("a block or an array comes back with another size than it has", kOtherSize));
  EXPECT_STREQ(reports[5].sentence, said("a block or an array comes back with another size than it has", kOtherSize));
  EXPECT_EQ(reports[5].bytes, 4 * sizeof(counter));
  EXPECT_STREQ(reports[6].sentence, mem::checked ? kAnothers : "the pointer is no live block of this cache");
  EXPECT_STREQ(reports[7].sentence, said("the pointer is no live block of this cache", kInside));
  EXPECT_STREQ(reports[8].sentence, said("a block or an array comes back with another size than it has", kOtherSize));
  EXPECT_EQ(pool.stats().live_blocks, 1U);
  EXPECT_TRUE(pool.is_live(q));
  expect_sums(pool);
}

TEST_F(ObjectPool, ReportsLiveObjectsAtTheEndOnlyWhenAskedTo) {
  set_misuse_handler(remember);
  {
    (void)object_pool<counter>(&upstream).request();
  }
  EXPECT_TRUE(reports.empty());
  {
    (void)object_pool<counter>(&upstream, {.live_at_end_is_misuse = true}).request();
  }
  ASSERT_EQ(reports.size(), 1U);
  EXPECT_STREQ(reports[0].sentence, "destroyed with live items: their chunks are gone");
}

struct watched {
  explicit watched(int& count) : alive(count) { ++alive; }
  watched(int& count, const char* refusal) : alive(count) {
    if (refusal != nullptr) throw std::runtime_error(refusal);
    ++alive;
  }
  ~watched() { --alive; }
  int& alive;
};

TEST_F(ObjectPool, ConstructsAndDestroys) {
  set_misuse_handler(remember);
  int alive = 0;
  object_pool<watched> pool(&upstream);
  watched* const w = pool.construct(alive);
  EXPECT_EQ(alive, 1);
  pool.destroy(nullptr);
  pool.destroy(w);
  EXPECT_EQ(alive, 0);
  pool.destroy(w);
  EXPECT_EQ(alive, 0) << "a destructor was called twice";
  EXPECT_EQ(reports.size(), 1U);
}

TEST_F(ObjectPool, TakesBackTheRoomOfWhatCouldNotBeConstructed) {
  int alive = 0;
  object_pool<watched> pool(&upstream);
  EXPECT_THROW((void)pool.construct(alive, "no"), std::runtime_error);
  EXPECT_EQ(pool.stats().live, 0U);
  EXPECT_EQ(alive, 0);
  expect_sums(pool);
}

TEST_F(ObjectPool, ExpandsAhead) {
  object_pool<counter> pool(&upstream, {.chunk_bytes = 4096});
  pool.expand(1000);
  EXPECT_GE(pool.stats().kept, 1000 * sizeof(counter));
  const std::size_t chunks = pool.chunks();
  for (int i = 0; i < 1000; ++i) (void)pool.request();
  EXPECT_EQ(pool.chunks(), chunks);
  upstream.from(1);
  EXPECT_THROW(pool.expand(100'000), std::bad_alloc);
  upstream.never();
  pool.expand(1000);
  expect_sums(pool);
}

/// Hands out one piece after another and takes nothing back.
class rising final : public std::pmr::memory_resource {
 public:
  std::size_t given = 0;
  std::size_t returned = 0;

 private:
  void* do_allocate(std::size_t bytes, std::size_t alignment) override {
    ++given;
    return memory_.allocate(bytes, alignment);
  }
  void do_deallocate(void* /*p*/, std::size_t /*bytes*/, std::size_t /*alignment*/) override { ++returned; }
  [[nodiscard]] bool do_is_equal(const std::pmr::memory_resource& other) const noexcept override {
    return this == &other;
  }
  std::pmr::monotonic_buffer_resource memory_{std::size_t{1} << 20, std::pmr::new_delete_resource()};
};

// Too many for a stack of 256 KiB, were it to hold a word of each.
constexpr std::size_t many_chunks = test::under_tsan ? 100'000 : 1'000'000;

void* make_and_destroy(void* resource) {
  auto* const upstream = static_cast<rising*>(resource);
  object_pool<std::uint64_t> pool(upstream, {.chunk_bytes = 64, .min_items = 1});
  pool.expand(many_chunks * pool.items_per_chunk());
  EXPECT_GE(pool.stats().upstream, pool.chunk_bytes() * many_chunks);
  return nullptr;
}

TEST(ObjectPoolDestruction, OfManyChunksNeedsLittleStack) {
  rising upstream;
  pthread_attr_t attributes;
  ASSERT_EQ(::pthread_attr_init(&attributes), 0);
  ASSERT_EQ(::pthread_attr_setstacksize(&attributes, std::size_t{256} << 10), 0);
  pthread_t thread{};
  ASSERT_EQ(::pthread_create(&thread, &attributes, make_and_destroy, &upstream), 0);
  ASSERT_EQ(::pthread_join(thread, nullptr), 0);
  ::pthread_attr_destroy(&attributes);
  EXPECT_GT(upstream.given, many_chunks);
  EXPECT_EQ(upstream.returned, upstream.given);
}

TEST(ObjectPoolFork, ChildrenAllocateAndDeallocateWhileThreadsOfTheParentDid) {
  object_pool<counter> pool(std::pmr::new_delete_resource(), {.chunk_bytes = 1024});
  std::atomic<bool> done{false};
  std::vector<std::thread> crew;
  for (int t = 0; t < 4; ++t) {
    crew.emplace_back([&] {
      std::vector<void*> held;
      while (!done) {
        for (int i = 0; i < 100; ++i) held.push_back(pool.request());
        for (void* const p : held) pool.recycle(p);
        held.clear();
        pool.trim();
      }
    });
  }
  for (int i = 0; i < (test::under_tsan ? 25 : 100); ++i) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      std::vector<void*> held;
      for (int n = 0; n < 300; ++n) held.push_back(pool.request());
      for (void* const p : held) pool.recycle(p);
      ::_exit(pool.is_live(held[0]) || pool.check().found() ? 1 : 0);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  }
  done = true;
  for (std::thread& t : crew) t.join();
}

TEST(ObjectPoolThreads, ThreadLocalDestructorsMayUseIt) {
  static object_pool<counter>* in_use;
  object_pool<counter> pool(std::pmr::new_delete_resource());
  in_use = &pool;
  struct holder {
    ~holder() {
      in_use->recycle(held);
      in_use->recycle(in_use->request());
    }
    void* held = nullptr;
  };
  for (int i = 0; i < 10; ++i) {
    std::thread([&] {
      thread_local holder last;  // made before the pool is used, ends after what the pool watches, if anything
      last.held = pool.request();
    }).join();
  }
  EXPECT_EQ(pool.stats().live, 0U);
  pool.trim();
  EXPECT_EQ(pool.chunks(), 0U);
}

TEST(ObjectPoolForOneThread, DoesTheSame) {
  test::recording_resource recorder;
  object_pool<counter, std::pmr::memory_resource, threads::one> pool(&recorder);
  static_assert(!decltype(pool)::thread_safe);
  std::vector<counter*> held;
  for (std::size_t i = 0; i < 10'000; ++i) held.push_back(pool.construct(counter{i, 7}));
  for (std::size_t i = 0; i < held.size(); ++i) {
    EXPECT_EQ(held[i]->uses, i);
    pool.destroy(held[i]);
  }
  EXPECT_EQ(pool.stats().live, 0U);
  expect_sums(pool);
  pool.trim();
  EXPECT_EQ(pool.chunks(), 0U);
  pool.release();
  EXPECT_EQ(recorder.live().blocks, 0U);
}

using ObjectPoolDeathTest = ObjectPool;

TEST_F(ObjectPoolDeathTest, RecyclingTwicePrintsASentenceAndAborts) {
  object_pool<counter> pool(&upstream, {.name = "counters"});
  void* const p = pool.request();
  pool.recycle(p);
  EXPECT_DEATH(pool.recycle(p), counters("the slot is free already", kTwice) + " \\(block .*, 16 bytes aligned to 8");
}

TEST_F(ObjectPoolDeathTest, RecyclingAnothersPrintsASentenceAndAborts) {
  object_pool<counter> pool(&upstream, {.name = "counters"});
  object_pool<counter> other(&upstream);
  (void)pool.request();
  void* const p = other.request();
  EXPECT_DEATH(pool.recycle(p), counters(mem::checked ? kAnothers : "the pointer is no slot of this pool", kAnothers));
}

TEST_F(ObjectPoolDeathTest, RecyclingAnInteriorPointerPrintsASentenceAndAborts) {
  object_pool<counter> pool(&upstream, {.name = "counters"});
  void* const p = static_cast<std::byte*>(pool.request()) + 8;
  EXPECT_DEATH(pool.recycle(p),
               counters("the pointer is in a chunk of this pool, but not the start of a slot", kInside));
}

TEST_F(ObjectPoolDeathTest, FreeingAnArrayWithAnotherCountPrintsASentenceAndAborts) {
  object_pool<counter> pool(&upstream, {.name = "counters"});
  void* const p = pool.alloc_array(3);
  EXPECT_DEATH(pool.free_array(p, 2),
               counters("a block or an array comes back with another size than it has", kOtherSize));
}

TEST_F(ObjectPoolDeathTest, FreeingAnothersArrayPrintsASentenceAndAborts) {
  object_pool<counter> pool(&upstream, {.name = "counters"});
  object_pool<counter> other(&upstream);
  void* const p = other.alloc_array(3);
  EXPECT_DEATH(pool.free_array(p, 3),
               counters(mem::checked ? kAnothers : "the pointer is no live block of this cache", kAnothers));
}

TEST_F(ObjectPoolDeathTest, LiveObjectsAtTheEndPrintASentenceAndAbortWhenAskedTo) {
  EXPECT_DEATH((void)object_pool<counter>(&upstream, {.live_at_end_is_misuse = true}).request(),
               "strata: object_pool: destroyed with live items: their chunks are gone");
}

}  // namespace
}  // namespace strata::pmr
