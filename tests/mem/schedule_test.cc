// SPDX-License-Identifier: Apache-2.0
// Claims: wherever another thread comes between two critical sections of caches, depots, slabs and the registry, and
// whatever whole operation it does there (takes and gives back, gives back what was allocated elsewhere, trims, comes
// to life and ends, forks a child that goes on alone), every block has one owner and the books agree: all places of a
// run, one after the other, for each of those operations. A thread's end and an owner's, in both orders, with the
// owner's number used again in between. A trim that comes in the middle of a call, at each place of it, leaves the cache to its
// thread; so does one in the middle of which the call goes on.
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
  enum class places : bool { between_sections, within_calls };

  interruption(std::size_t nth, std::function<void()> intruder, places which = places::between_sections)
      : nth_(nth), intruder_(std::move(intruder)), which_(which) {
    thread_ = std::this_thread::get_id();
    current = this;
    schedule = [](moment m) { current->reached_one(m); };
  }
  ~interruption() { schedule = nullptr; }
  interruption(const interruption&) = delete;
  interruption& operator=(const interruption&) = delete;

  [[nodiscard]] std::size_t count() const { return places_; }
  [[nodiscard]] std::optional<moment> interrupted() const { return interrupted_; }

 private:
  void reached_one(moment m) {
    if (std::this_thread::get_id() != thread_) return;
    if (m == moment::caches_closed || m == moment::barrier_passed) return;  // others have to wait until that is over
    const bool within = m == moment::call_counted || m == moment::top_seen;
    if (within != (which_ == places::within_calls) || ++places_ != nth_) return;
    interrupted_ = m;
    std::thread(intruder_).join();
  }

  static inline interruption* current = nullptr;
  std::size_t nth_;
  std::function<void()> intruder_;
  places which_;
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
    places = none.count();
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
  std::vector<bool> seen(static_cast<std::size_t>(moment::barrier_passed) + 1);
  static std::vector<bool>* reports = nullptr;
  reports = &seen;
  schedule = [](moment m) { (*reports)[static_cast<std::size_t>(m)] = true; };
  {
    workshop w;
    run(w);
    std::thread([&] { w.use(c64, 1, 1); }).join();
    w.use(c64, 40'000, 1);  // more than a span
    std::thread([&] { w.trim(); }).join();
    std::array<bitmap<>::cell, 2> cells;
    bitmap<> bits(cells.data(), 128);
    const claim_result run_of_both = bits.claim(100);
    (void)bits.release(run_of_both.first, 100);
  }
  schedule = nullptr;
  for (std::size_t m = 0; m < seen.size(); ++m) EXPECT_TRUE(seen[m]) << "moment " << m;
}

TEST(Schedule, ATrimInTheMiddleOfACallLeavesTheCacheToItsThread) {
  const auto short_run = [](workshop& w) {
    w.use(c64, 20, 1'000'000);
    w.use(c64, 5, 2'000'000);
    w.use(c1024, 10, 3'000'000);
    w.use(c64, 20, 4'000'000);
  };
  for (std::size_t n = 1;; ++n) {
    workshop w;
    bool met = false;
    std::thread([&] {
      const interruption here(n, [&] { w.trim(); }, interruption::places::within_calls);
      short_run(w);
      met = here.interrupted().has_value();
    }).join();
    ASSERT_TRUE(w.is_sound()) << "place " << n;
    w.give_back_lent();
    w.trim();
    ASSERT_EQ(w.slabs->count().live, 0U) << "place " << n;
    ASSERT_EQ(w.slabs->store().counters().slots, 1U) << "place " << n << ": the cache of who trims";
    ASSERT_TRUE(w.is_sound());
    if (!met) {
      EXPECT_GT(n, 100U);
      break;
    }
  }
}

// A thread stops in the middle of a call that its cache serves, and goes on when a trim has come to `when`; the trim goes on
// when that call is over.
class call_within_a_trim {
 public:
  call_within_a_trim(moment when, bool takes) : when_(when) {
    current = this;
    std::thread user([&] {
      owner_ = std::this_thread::get_id();
      w_.use(c64, 6, 1);
      void* const block = w_.take(c64, 1);
      armed_ = true;
      schedule = [](moment m) { current->reached_one(m); };
      void* const second = takes ? w_.take(c64, 2) : nullptr;
      if (!takes) w_.put(c64, block, 1);
      go_to(3);
      if (takes) {
        w_.put(c64, second, 2);
        w_.put(c64, block, 1);
      }
      w_.use(c64, 300, 1'000);
    });
    wait_for(1);
    w_.trim();
    schedule = nullptr;
    user.join();
  }
  call_within_a_trim(const call_within_a_trim&) = delete;
  call_within_a_trim& operator=(const call_within_a_trim&) = delete;

  [[nodiscard]] bool met() const { return met_; }
  [[nodiscard]] workshop& shop() { return w_; }

 private:
  void reached_one(moment m) {
    if (std::this_thread::get_id() == owner_) {
      if (m != moment::top_seen || !std::exchange(armed_, false)) return;
      go_to(1);
      wait_for(2);
    } else if (m == when_ && stage_ == 1) {
      met_ = true;
      go_to(2);
      wait_for(3);
    }
  }
  void go_to(int stage) {
    stage_ = stage;
    stage_.notify_all();
  }
  void wait_for(int stage) {
    for (int now = stage_; now < stage; now = stage_) stage_.wait(now);
  }

  static inline call_within_a_trim* current = nullptr;
  workshop w_;
  const moment when_;
  std::thread::id owner_;
  bool armed_ = false;
  std::atomic<bool> met_{false};
  std::atomic<int> stage_{0};  // 1: the call has stopped, 2: it may go on, 3: it is over
};

TEST(Schedule, ACallThatEndsInTheMiddleOfATrimKeepsItsCache) {
  if (inspected()) GTEST_SKIP() << "every call takes the slow way, under the lock";
  for (const moment when : {moment::caches_closed, moment::barrier_passed}) {
    for (const bool takes : {true, false}) {
      call_within_a_trim both(when, takes);
      EXPECT_TRUE(both.met());
      workshop& w = both.shop();
      ASSERT_TRUE(w.is_sound());
      w.give_back_lent();
      w.trim();
      EXPECT_EQ(w.slabs->count().live, 0U);
      EXPECT_EQ(w.slabs->store().counters().slots, 1U);
      EXPECT_TRUE(w.is_sound());
    }
  }
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
