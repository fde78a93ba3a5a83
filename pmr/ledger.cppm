// SPDX-License-Identifier: Apache-2.0
module;
#include <atomic>
#include <cstddef>
#include <type_traits>

export module strata.pmr:ledger;

import :report;

import strata.mem;

/// What a layer counts about the blocks it hands out, for its `statistics`. For layers, also those written by users.
export namespace strata::pmr {

/// For one thread at a time.
class ledger {
 public:
  inline void handed_out(std::size_t bytes) noexcept {
    live_ += bytes;
    if (live_ > peak_) peak_ = live_;
    ++allocations_;
  }
  inline void taken_back(std::size_t bytes) noexcept {
    live_ -= bytes;
    ++deallocations_;
  }
  inline void resized(std::size_t from, std::size_t to) noexcept {
    live_ += to - from;
    if (live_ > peak_) peak_ = live_;
  }
  inline void failed() noexcept { ++failures_; }

  /// Everything handed out is void.
  inline void released() noexcept {
    live_ = 0;
    deallocations_ = allocations_;
  }

  [[nodiscard]] inline std::size_t live() const noexcept { return live_; }
  [[nodiscard]] inline std::size_t blocks() const noexcept { return allocations_ - deallocations_; }
  [[nodiscard]] inline std::size_t deallocations() const noexcept { return deallocations_; }

  /// The figures counted here; the caller adds upstream, kept and overhead.
  [[nodiscard]] inline statistics figures() const noexcept {
    return {.live = live_, .peak = peak_, .live_blocks = blocks(), .allocations = allocations_, .failures = failures_};
  }

 private:
  // No two that one call changes are neighbours: a compiler would load them as one, and a processor that has just stored
  // one of them alone would wait for every store before that to reach the cache, blocks of callers included.
  std::size_t live_ = 0;
  std::size_t failures_ = 0;
  std::size_t allocations_ = 0;
  std::size_t peak_ = 0;
  std::size_t deallocations_ = 0;
};

/// For any thread. Figures read while others work are each right at some moment, not all at the same.
class shared_ledger {
 public:
  inline void handed_out(std::size_t bytes) noexcept {
    raise(live_.fetch_add(bytes, std::memory_order_relaxed) + bytes);
    blocks_.fetch_add(1, std::memory_order_relaxed);
    allocations_.fetch_add(1, std::memory_order_relaxed);
  }
  inline void taken_back(std::size_t bytes) noexcept {
    live_.fetch_sub(bytes, std::memory_order_relaxed);
    blocks_.fetch_sub(1, std::memory_order_relaxed);
  }
  inline void resized(std::size_t from, std::size_t to) noexcept {
    raise(live_.fetch_add(to - from, std::memory_order_relaxed) + (to - from));
  }
  inline void failed() noexcept { failures_.fetch_add(1, std::memory_order_relaxed); }

  /// Everything handed out is void. Pre: no other call is under way.
  inline void released() noexcept {
    live_.store(0, std::memory_order_relaxed);
    blocks_.store(0, std::memory_order_relaxed);
  }

  [[nodiscard]] inline std::size_t live() const noexcept { return live_.load(std::memory_order_relaxed); }
  [[nodiscard]] inline std::size_t blocks() const noexcept { return blocks_.load(std::memory_order_relaxed); }

  [[nodiscard]] inline statistics figures() const noexcept {
    return {.live = live(),
            .peak = peak_.load(std::memory_order_relaxed),
            .live_blocks = blocks(),
            .allocations = allocations_.load(std::memory_order_relaxed),
            .failures = failures_.load(std::memory_order_relaxed)};
  }

 private:
  inline void raise(std::size_t live) noexcept {
    for (std::size_t seen = peak_.load(std::memory_order_relaxed); live > seen;) {
      if (peak_.compare_exchange_weak(seen, live, std::memory_order_relaxed)) break;
    }
  }

  std::atomic<std::size_t> live_{0};
  std::atomic<std::size_t> peak_{0};
  std::atomic<std::size_t> blocks_{0};
  std::atomic<std::size_t> allocations_{0};
  std::atomic<std::size_t> failures_{0};
};

/// The one that a layer needs.
template <bool ThreadSafe>
using ledger_for = std::conditional_t<ThreadSafe, shared_ledger, ledger>;

/// For any thread, and for layers that threads are to share without meeting: each writes to a stripe of its own, and
/// figures are added up when read. `peak` is looked at with every 64th block of a stripe and whenever figures are read.
class striped_ledger {
 public:
  inline void handed_out(std::size_t bytes) noexcept {
    account& mine = stripes_.mine();
    mine.live.fetch_add(bytes, std::memory_order_relaxed);
    if (mine.allocations.fetch_add(1, std::memory_order_relaxed) % 64 == 63) peak_.raise(live());
  }
  inline void taken_back(std::size_t bytes) noexcept {
    account& mine = stripes_.mine();
    mine.live.fetch_sub(bytes, std::memory_order_relaxed);
    mine.deallocations.fetch_add(1, std::memory_order_relaxed);
  }
  inline void resized(std::size_t from, std::size_t to) noexcept {
    stripes_.mine().live.fetch_add(to - from, std::memory_order_relaxed);
  }
  inline void failed() noexcept { failures_.add(1); }

  /// Everything handed out is void. Pre: no other call is under way.
  inline void released() noexcept {
    stripes_.visit([](account& a) {
      a.live.store(0, std::memory_order_relaxed);
      a.deallocations.store(a.allocations.load(std::memory_order_relaxed), std::memory_order_relaxed);
    });
  }

  [[nodiscard]] inline std::size_t live() const noexcept { return sum(&account::live); }
  [[nodiscard]] inline std::size_t blocks() const noexcept {
    return sum(&account::allocations) - sum(&account::deallocations);
  }

  [[nodiscard]] inline statistics figures() const noexcept {
    const std::size_t now = live();
    return {.live = now,
            .peak = peak_.raise(now),
            .live_blocks = blocks(),
            .allocations = sum(&account::allocations),
            .failures = failures_.get()};
  }

 private:
  // A stripe's live may be below zero, and wraps: blocks come back to other threads. The sum does not.
  struct account {
    std::atomic<std::size_t> live{0};
    std::atomic<std::size_t> allocations{0};
    std::atomic<std::size_t> deallocations{0};
  };

  [[nodiscard]] inline std::size_t sum(std::atomic<std::size_t> account::* what) const noexcept {
    std::size_t total = 0;
    stripes_.visit([&](const account& a) { total += (a.*what).load(std::memory_order_relaxed); });
    return total;
  }

  mem::stripes<account> stripes_;
  mutable mem::tally<mem::threads::any> peak_;
  mem::tally<mem::threads::any> failures_;
};

}  // namespace strata::pmr
