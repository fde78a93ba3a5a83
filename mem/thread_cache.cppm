// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

export module strata.mem:thread_cache;

import :cache_books;
import :decay;
import :schedule;
import :size_class;

/// What a thread keeps of one resource: a magazine of free slots for each class (Bonwick, Adams 2001).
///
/// A magazine is an array of pointers filled from the bottom. Under the bottom lies a null, so that taking from an
/// empty one finds it without comparing. The owning thread moves tops without a lock, and without a read-modify-write;
/// another can take what is inside, while the owner is at nothing, by the steps of :cache_books. A top is *closed* by setting it
/// to the last place of all, which holds null: there is nothing to take, and no limit that it has not reached.
///
/// How many slots a magazine may hold adapts. It starts with first(), which is plenty while a class is allocated and
/// deallocated by turns: between two misses of a magazine of n then pass about n²/4 calls. Four misses of one kind in
/// a row mean a phase that only allocates or only deallocates, and double the limit, to capacity() at most; a miss of
/// the other kind halves it.
export namespace strata::mem {

/// Why a magazine could not serve.
enum class cache_miss : bool { empty, full };

class thread_cache {
  // First, and arrays of words: a place in one of them is one operand of an instruction.
  std::array<std::atomic<void**>, size_class::count> tops_;  ///< last pointer; the null under the bottom when empty
  std::array<void**, size_class::count> limits_;  ///< last place in use; the null under the bottom when the limit is 0

 public:
  cache_books books;

  /// Most slots of class `c` a thread may keep: 16 KiB worth, at least 8, at most 128.
  [[nodiscard]] static inline constexpr std::size_t capacity(std::size_t c) noexcept {
    return std::clamp<std::size_t>((std::size_t{16} << 10) / size_class::bytes(c), 8, 128);
  }

  /// The limit a magazine starts with, and does not fall below unless squeezed: 16 KiB worth, at least 8, at most 16.
  [[nodiscard]] static inline constexpr std::size_t first(std::size_t c) noexcept {
    return std::clamp<std::size_t>((std::size_t{16} << 10) / size_class::bytes(c), 8, 16);
  }

  /// Formats `memory`, bytes() long, as an empty cache.
  [[nodiscard]] static thread_cache* format(void* memory) noexcept;
  [[nodiscard]] static std::size_t bytes() noexcept;

  /// A slot of class `c` for so many bytes, or null when there is none.
  [[nodiscard]] inline void* pop(std::size_t c, std::size_t bytes) noexcept {
    books.going_out(bytes);
    void** const top = tops_[c].load(std::memory_order_relaxed);
    reached(moment::top_seen);
    void* const slot = *top;
    if (slot == nullptr) [[unlikely]] {
      books.not_out(bytes);
      return nullptr;
    }
    tops_[c].store(top - 1, std::memory_order_release);
    return slot;
  }

  /// False when there is no place.
  [[nodiscard]] inline bool push(std::size_t c, void* slot, std::size_t bytes) noexcept {
    books.coming_in(bytes);
    void** const top = tops_[c].load(std::memory_order_relaxed);
    reached(moment::top_seen);
    if (top >= limits_[c]) [[unlikely]] {
      books.not_in(bytes);
      return false;
    }
    top[1] = slot;
    tops_[c].store(top + 1, std::memory_order_release);
    return true;
  }

  // What follows is for who holds the lock of the books: first open(), unless the thread has done so since it took it.

  /// Bottom of the magazine of class `c`: size(c) pointers, oldest first.
  [[nodiscard]] inline void** bottom(std::size_t c) noexcept { return tempers_[c].bottom; }
  [[nodiscard]] inline std::size_t size(std::size_t c) noexcept {
    return static_cast<std::size_t>(top(c) + 1 - bottom(c));
  }
  [[nodiscard]] inline std::size_t limit(std::size_t c) noexcept {
    return static_cast<std::size_t>(limits_[c] + 1 - bottom(c));
  }

  /// Drops the `count` oldest. Pre: count <= size(c).
  void drop_oldest(std::size_t c, std::size_t count) noexcept;

  /// Says that bottom(c) now holds `count` more pointers. Pre: it was empty; count <= limit(c).
  void filled(std::size_t c, std::size_t count) noexcept;

  /// Notes a miss; returns the limit that suits the class now.
  [[nodiscard]] std::size_t missed(std::size_t c, cache_miss how) noexcept;

  /// Pre: size(c) <= n <= capacity(c).
  void set_limit(std::size_t c, std::size_t n) noexcept;

  /// Bytes all magazines may hold by their limits.
  [[nodiscard]] inline std::size_t granted() const noexcept { return granted_; }

  /// Classes in turn, for whoever has to take from one to give to another.
  [[nodiscard]] inline std::size_t next_victim() noexcept {
    victim_ = victim_ + 1 < size_class::count ? victim_ + 1 : 0;
    return victim_;
  }

  /// What a taker left closed: opens it, empty.
  inline void open() noexcept {
    if (closed_) [[unlikely]] {
      open_slowly();
    }
  }

  // Steps b, d and e of a taker.

  /// Closes all magazines. False, with nothing changed, when nothing is in them or they are closed.
  [[nodiscard]] bool close() noexcept;
  /// Whether nothing was under way when the barrier came: bottom(c) are then was_inside(c) slots, to be taken away, and
  /// the magazines stay closed, empty. Else all is as before close().
  [[nodiscard]] bool judge(bool barrier_passed) noexcept;
  [[nodiscard]] inline std::size_t was_inside(std::size_t c) const noexcept { return tempers_[c].was_inside; }

  /// At `now`: whether no use was made of it for a whole period. One look at a time: under the registry's lock.
  [[nodiscard]] inline bool is_idle(decay_period period, std::uint64_t now) noexcept {
    const std::size_t uses = books.out() + books.in();
    const bool used = uses != uses_seen_;
    uses_seen_ = uses;
    return idle_.look(period, now, used);
  }

  thread_cache* next = nullptr;  ///< caches of the same resource; guarded by :cache_registry
  thread_cache* prev = nullptr;
  thread_cache* next_closed = nullptr;  ///< for who holds its lock
  void* owner = nullptr;                ///< the resource, as :cache_registry knows it
  thread_cache** home = nullptr;        ///< the place in the thread's table that points here

 private:
  thread_cache() = default;

  [[nodiscard]] inline void** top(std::size_t c) const noexcept { return tops_[c].load(std::memory_order_relaxed); }
  inline void set_top(std::size_t c, void** to) noexcept { tops_[c].store(to, std::memory_order_release); }
  void open_slowly() noexcept;

  // What only misses and takers look at.
  struct temper {
    void** bottom;
    std::int32_t streak;       ///< misses of one kind in a row: above 0 empty, below 0 full
    std::uint32_t was_inside;  ///< slots, when it was closed
  };
  std::array<temper, size_class::count> tempers_;
  std::size_t granted_ = 0;
  std::size_t victim_ = 0;
  std::size_t uses_seen_ = 0;
  idleness idle_;
  void** closed_top_ = nullptr;  ///< the last place
  bool closed_ = false;          ///< all tops are, for good
};

}  // namespace strata::mem
