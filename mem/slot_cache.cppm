// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <utility>

export module strata.mem:slot_cache;

import :cache_books;
import :schedule;
import :slot_pool;
import :threads;

/// What a thread keeps of one pool: some free slots with their words, last in, first out (a magazine: Bonwick, Adams
/// 2001).
///
/// Under the bottom lies a null, so that taking from an empty one finds it without comparing. pop() and push() are the owner's calls of
/// :cache_books; another null, above all places there are, is where the top is while it is closed. One thread at a time, and takers.
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

  cache_books books;

  /// A slot, which is then out; null when there is none.
  [[nodiscard]] inline void* pop(std::size_t bytes) noexcept {
    books.going_out(bytes);
    place* const top = top_.load(std::memory_order_relaxed);
    reached(moment::top_seen);
    const place at = *top;
    if (at.slot == nullptr) [[unlikely]] {
      books.not_out(bytes);
      return nullptr;
    }
    pool::mark_out(at);
    top_.store(top - 1, std::memory_order_release);
    return at.slot;
  }

  /// Keeps a slot that was out; false when there is no place.
  [[nodiscard]] inline bool push(const place& at, std::size_t bytes) noexcept {
    books.coming_in(bytes);
    place* const top = top_.load(std::memory_order_relaxed);
    reached(moment::top_seen);
    if (top >= limit_) [[unlikely]] {
      books.not_in(bytes);
      return false;
    }
    pool::mark_idle(at);
    top[1] = at;
    top_.store(top + 1, std::memory_order_release);
    return true;
  }

  // What follows is for who holds the lock of the books: first open(), unless the thread has done so since it took it.

  /// Fills itself from `from`, with one slot the first time, then twice as many each time, up to half of what it may
  /// have: so threads that find one chunk together all find a slot in it. Pre: it is empty.
  inline void fill(pool& from) noexcept {
    const std::size_t got = from.take(places_ + 1, batch_);
    set_size(got);
    books.moved_in(got);
    batch_ = std::min(2 * batch_, static_cast<std::size_t>(limit_ - places_) / 2);
  }

  /// Gives the older half back.
  inline void halve(pool& to) noexcept { give(to, (size() + 1) / 2); }
  /// Gives all back.
  inline void drain(pool& to) noexcept { give(to, size()); }

  [[nodiscard]] inline std::size_t size() const noexcept {
    return static_cast<std::size_t>(top_.load(std::memory_order_relaxed) - places_);
  }

  /// What a taker left closed: opens it, empty.
  inline void open() noexcept {
    if (!closed_) [[likely]] {
      return;
    }
    set_size(0);
    closed_ = false;
  }

  /// Whether its thread took or gave back since the last such question. One thread at a time.
  [[nodiscard]] inline bool was_used() noexcept {
    const std::size_t uses = books.out() + books.in();
    return std::exchange(uses_seen_, uses) != uses;
  }

  // Steps b, d and e of a taker.

  /// Closes it. False, with nothing changed, when nothing is in it or it is closed.
  [[nodiscard]] inline bool close() noexcept {
    if (closed_ || size() == 0) return false;
    was_inside_ = static_cast<std::size_t>(top_.exchange(closed_top(), std::memory_order_acq_rel) - places_);
    return true;
  }
  /// Whether nothing was under way when the barrier came: then drain_closed() is next. Else all is as before close().
  [[nodiscard]] inline bool judge(bool barrier_passed) noexcept {
    closed_ = barrier_passed && books.agree_with(was_inside_) && top_.load(std::memory_order_acquire) == closed_top();
    if (closed_) {
      books.moved_in(std::size_t{0} - was_inside_);
    } else {
      place* expected = closed_top();
      top_.compare_exchange_strong(expected, places_ + was_inside_, std::memory_order_acq_rel);
    }
    return closed_;
  }
  inline void drain_closed(pool& to) const noexcept {
    if (was_inside_ != 0) to.put(places_ + 1, was_inside_);
  }

  slot_cache* next = nullptr;         ///< in a list of caches that are given back
  slot_cache* next_closed = nullptr;  ///< for who holds its lock

 private:
  inline void set_size(std::size_t size) noexcept { top_.store(places_ + size, std::memory_order_release); }
  [[nodiscard]] inline place* closed_top() noexcept { return places_ + max_places + 1; }
  inline void give(pool& to, std::size_t count) noexcept {
    if (count == 0) return;
    const std::size_t left = size() - count;
    to.put(places_ + 1, count);
    std::copy(places_ + 1 + count, places_ + 1 + count + left, places_ + 1);
    set_size(left);
    books.moved_in(std::size_t{0} - count);
  }

  std::atomic<place*> top_{places_};  ///< last place in it; the null under the bottom when empty
  place* const limit_;                ///< last place there may be
  std::size_t batch_ = 1;
  std::size_t uses_seen_ = 0;
  std::size_t was_inside_ = 0;  ///< slots, when it was closed
  bool closed_ = false;         ///< the top is, for good
  place places_[max_places + 2] = {};
};

}  // namespace strata::mem
