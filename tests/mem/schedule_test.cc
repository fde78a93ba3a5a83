// SPDX-License-Identifier: Apache-2.0
// Claims: wherever another thread comes between two critical sections of caches, depots, slabs and the registry, and
// whatever whole operation it does there (takes and gives back, gives back what was allocated elsewhere, trims, comes
// to life and ends, forks a child that goes on alone), every block has one owner and the books agree: all places of a
// run, one after the other, for each of those operations. A thread's end and an owner's, in both orders, with the
// owner's number used again in between.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "tests/mem/slab_memory.h"

import strata.mem;

namespace strata::mem {
namespace {

#ifndef STRATA_SCHEDULE

TEST(Schedule, NeedsASanitizerBuild) { GTEST_SKIP() << "the hooks are compiled in the sanitizer configurations only"; }

#else

const std::size_t c64 = size_class::of(64);
const std::size_t c1024 = size_class::of(1024);

// Calls `intruder` in a thread of its own, to its end, when the thread that set it has come to its n-th place. What the
// intruder comes to itself does not count.
class interruption {
 public:
  interruption(std::size_t nth, std::function<void()> intruder) : nth_(nth), intruder_(std::move(intruder)) {
    thread_ = std::this_thread::get_id();
    current = this;
    schedule = [](moment m) { current->reached_one(m); };
  }
  ~interruption() { schedule = nullptr; }
  interruption(const interruption&) = delete;
  interruption& operator=(const interruption&) = delete;

  [[nodiscard]] std::size_t places() const { return places_; }
  [[nodiscard]] std::optional<moment> interrupted() const { return interrupted_; }

 private:
  void reached_one(moment m) {
    if (std::this_thread::get_id() != thread_ || ++places_ != nth_) return;
    interrupted_ = m;
    std::thread(intruder_).join();
  }

  static inline interruption* current = nullptr;
  std::size_t nth_;
  std::function<void()> intruder_;
  std::thread::id thread_;
  std::size_t places_ = 0;
  std::optional<moment> interrupted_;
};

// Blocks of one resource, each stamped by its owner.
struct workshop {
  test::span_memory memory{span_bytes};
  std::unique_ptr<cached_slabs<threads::any>> slabs;
  std::vector<void*> lent;  // allocated by who sets the workshop up, for an intruder to give back
  std::atomic<bool> wrong{false};

  // Small depots, so that all ways are taken.
  workshop() : slabs(std::make_unique<cached_slabs<threads::any>>(slab_plan{.depot_bytes = std::size_t{40} << 10})) {
    slabs->store().add_span(memory.get());
    for (std::uintptr_t n = 1; n <= 200; ++n) lent.push_back(take(c64, n));
  }

  ~workshop() { slabs->clear(); }
  workshop(const workshop&) = delete;
  workshop& operator=(const workshop&) = delete;

  void* take(std::size_t c, std::uintptr_t stamp) {
    void* p = slabs->allocate(c, 48);
    while (p == nullptr) {
      refused_slot refused;
      p = slabs->refill(c, 48, refused);
      if (refused.fault != slab_fault::none) wrong = true;
      if (p == nullptr) slabs->store().add_span(memory.get());
    }
    show(p, 48);
    *static_cast<std::uintptr_t*>(p) = stamp;
    return p;
  }
  void put(std::size_t c, void* p, std::uintptr_t stamp) {
    if (*static_cast<std::uintptr_t*>(p) != stamp) wrong = true;
    *static_cast<std::uintptr_t*>(p) = 0;
    if (!slabs->deallocate(c, p, 48) && slabs->flush(c, p, 48).fault != slab_fault::none) wrong = true;
  }
  // Takes, then gives back, so many blocks.
  void use(std::size_t c, std::size_t count, std::uintptr_t stamp) {
    std::vector<void*> held;
    for (std::size_t i = 0; i < count; ++i) held.push_back(take(c, stamp + i));
    for (std::size_t i = 0; i < count; ++i) put(c, held[i], stamp + i);
  }
  void give_back_lent() {
    for (std::size_t n = 0; n < lent.size(); ++n) put(c64, lent[n], n + 1);
    lent.clear();
  }
  void trim() {
    if (slabs->trim().fault != slab_fault::none) wrong = true;
  }
  [[nodiscard]] bool is_sound() const { return !wrong && slabs->store().check() == nullptr; }
};

struct intrusion {
  const char* name;
  void (*act)(workshop&);
};

const intrusion intrusions[] = {
    {"uses the same class", [](workshop& w) { w.use(c64, 700, 100'000); }},
    {"uses the class of pieces", [](workshop& w) { w.use(c1024, 100, 200'000); }},
    {"gives back what another thread allocated", [](workshop& w) { w.give_back_lent(); }},
    {"trims", [](workshop& w) { w.trim(); }},
    {"lets threads live and end",
     [](workshop& w) {
       for (int i = 0; i < 3; ++i) std::thread([&] { w.use(c64, 5, 300'000); }).join();
     }},
    {"forks a child that goes on",
     [](workshop& w) {
       const pid_t child = ::fork();
       if (child == 0) {
         w.use(c64, 300, 400'000);
         w.use(c1024, 20, 500'000);
         w.trim();
         ::_exit(w.is_sound() ? 0 : 1);
       }
       int status = 0;
       if (::waitpid(child, &status, 0) != child || !WIFEXITED(status) || WEXITSTATUS(status) != 0) w.wrong = true;
     }},
};

// What is interrupted: passes every place.
void run(workshop& w) {
  w.use(c64, 900, 1'000'000);
  w.use(c1024, 60, 2'000'000);
  w.use(c64, 300, 3'000'000);
  w.trim();
  w.use(c64, 300, 4'000'000);
}

TEST(Schedule, AnOperationAnywhereInBetweenHurtsNothing) {
  std::size_t places = 0;
  {
    workshop w;
    const interruption none(0, [] {});
    run(w);
    places = none.places();
  }
  ASSERT_GT(places, 30U);
  for (const intrusion& other : intrusions) {
    for (std::size_t n = 1; n <= places; ++n) {
      workshop w;
      std::optional<moment> at;
      std::thread([&] {  // a thread of its own, that makes its cache on the way
        const interruption here(n, [&] { other.act(w); });
        run(w);
        at = here.interrupted();
      })
          .join();
      ASSERT_TRUE(at.has_value()) << other.name << " at place " << n;
      ASSERT_TRUE(w.is_sound()) << other.name << " at place " << n << ", moment " << static_cast<int>(*at);
      w.give_back_lent();
      w.trim();
      const slab_counters left = w.slabs->store().counters();
      ASSERT_EQ(w.slabs->count().live, 0U) << other.name << " at place " << n;
      ASSERT_EQ(left.depot_slots, 0U) << other.name << " at place " << n;
      ASSERT_EQ(left.slots, w.slabs->count().caches / size_class::bytes(size_class::of(thread_cache::bytes())))
          << other.name << " at place " << n << ": all that is out is caches";
      ASSERT_TRUE(w.is_sound());
    }
  }
}

TEST(Schedule, EveryMomentIsReached) {
  std::vector<bool> seen(static_cast<std::size_t>(moment::owner_ending) + 1);
  static std::vector<bool>* reports = nullptr;
  reports = &seen;
  schedule = [](moment m) { (*reports)[static_cast<std::size_t>(m)] = true; };
  {
    workshop w;
    run(w);
    std::thread([&] { w.use(c64, 1, 1); }).join();
    w.use(c64, 40'000, 1);  // more than a span
    std::array<bitmap<>::cell, 2> cells;
    bitmap<> bits(cells.data(), 128);
    const claim_result run_of_both = bits.claim(100);
    (void)bits.release(run_of_both.first, 100);
  }
  schedule = nullptr;
  for (std::size_t m = 0; m < seen.size(); ++m) EXPECT_TRUE(seen[m]) << "moment " << m;
}

TEST(Schedule, AnOwnerEndsWhileAThreadIsAboutToEnd) {
  static std::atomic<workshop*> first{nullptr};
  static std::unique_ptr<workshop> second;
  first = new workshop;
  schedule = [](moment m) {
    if (m != moment::thread_ending) return;
    schedule = nullptr;
    std::thread([] {
      workshop* const ended = first.exchange(nullptr);
      delete ended;
      second = std::make_unique<workshop>();  // takes the number
    }).join();
  };
  std::thread([] { first.load()->use(c64, 10, 1); }).join();
  ASSERT_EQ(first.load(), nullptr);
  second->use(c64, 300, 1);
  EXPECT_TRUE(second->is_sound());
  second.reset();
}

TEST(Schedule, AThreadEndsWhileItsOwnerIsAboutToEnd) {
  auto w = std::make_unique<workshop>();
  std::atomic<bool> may_end{false};
  std::atomic<bool> ready{false};
  std::thread user([&] {
    w->use(c64, 10, 1);
    ready = true;
    ready.notify_one();
    may_end.wait(false);
  });
  ready.wait(false);
  {
    const interruption at_the_owners_end(1, [&] {
      may_end = true;
      may_end.notify_one();
      user.join();
    });
    w->slabs->clear();
    EXPECT_EQ(at_the_owners_end.interrupted(), moment::owner_ending);
  }
  EXPECT_TRUE(w->is_sound());
  w.reset();
}

#endif

}  // namespace
}  // namespace strata::mem
