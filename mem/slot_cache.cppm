// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <utility>

export module strata.mem:slot_cache;

import :slot_pool;
import :threads;

/// What a thread keeps of one pool: some free slots with their words, last in, first out (a magazine: Bonwick, Adams
/// 2001).
///
/// Under the bottom lies a null, so that taking from an empty one finds it without comparing. One thread at a time; the
/// counters are read by others, hence atomic, but written by plain stores.
export namespace strata::mem {

template <threads Threads>
class alignas(64) slot_cache {
 public:
  using pool = slot_pool<Threads>;
  using place = typename pool::place;

  static constexpr std::size_t max_places = pool::max_batch;

  /// Most slots of so many bytes a thread keeps: 32 KiB worth, at least 4, at most 64.
  [[nodiscard]] static inline constexpr std::size_t capacity(std::size_t slot_bytes) noexcept {
    return std::clamp((std::size_t{32} << 10) / slot_bytes, std::size_t{4}, max_places);
  }

  explicit slot_cache(std::size_t capacity) noexcept : limit_(places_ + capacity) {}

  /// A slot, which is then out; null when there is none.
  [[nodiscard]] inline void* pop(std::size_t bytes) noexcept {
    const place at = *top_;
    if (at.slot != nullptr) [[likely]] {
      --top_;
      pool::mark_out(at);
      add(live_, bytes);
      add(taken_, 1);
    }
    return at.slot;
  }

  [[nodiscard]] inline bool is_full() const noexcept { return top_ == limit_; }
  /// Keeps a slot that was out. Pre: !is_full().
  inline void push(const place& at, std::size_t bytes) noexcept {
    pool::mark_idle(at);
    *++top_ = at;
    add(live_, std::size_t{0} - bytes);
    add(put_, 1);
  }

  /// Fills itself from `from`, with one slot the first time, then twice as many each time, up to half of what it may
  /// have: so threads that find one chunk together all find a slot in it. Pre: it is empty.
  inline void fill(pool& from) noexcept {
    top_ += from.take(places_ + 1, batch_);
    batch_ = std::min(2 * batch_, static_cast<std::size_t>(limit_ - places_) / 2);
  }

  /// Gives the older half back.
  inline void halve(pool& to) noexcept { give(to, (size() + 1) / 2); }
  /// Gives all back.
  inline void drain(pool& to) noexcept { give(to, size()); }

  [[nodiscard]] inline std::size_t size() const noexcept { return static_cast<std::size_t>(top_ - places_); }

  /// Bytes this thread handed out, less those it took back: modulo 2^64, since what one thread hands out another may
  /// take back.
  [[nodiscard]] inline std::size_t live() const noexcept { return live_.load(std::memory_order_relaxed); }
  [[nodiscard]] inline std::size_t taken() const noexcept { return taken_.load(std::memory_order_relaxed); }
  [[nodiscard]] inline std::size_t put() const noexcept { return put_.load(std::memory_order_relaxed); }

  /// Whether the thread took or gave back since the last such question.
  [[nodiscard]] inline bool was_used() noexcept {
    const std::size_t uses = taken() + put();
    return std::exchange(uses_seen_, uses) != uses;
  }

  slot_cache* next = nullptr;  ///< in a list of caches that are given back

 private:
  // One writer: a plain add that other threads may read.
  static inline void add(std::atomic<std::size_t>& counter, std::size_t n) noexcept {
    counter.store(counter.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }
  inline void give(pool& to, std::size_t count) noexcept {
    if (count == 0) return;
    to.put(places_ + 1, count);
    top_ = std::copy(places_ + 1 + count, top_ + 1, places_ + 1) - 1;
  }

  place* top_ = places_;  ///< last place in it; the null under the bottom when empty
  place* const limit_;    ///< last place there may be
  std::size_t batch_ = 1;
  std::size_t uses_seen_ = 0;
  std::atomic<std::size_t> live_{0};
  std::atomic<std::size_t> taken_{0};
  std::atomic<std::size_t> put_{0};
  place places_[max_places + 1] = {};
};

}  // namespace strata::mem
