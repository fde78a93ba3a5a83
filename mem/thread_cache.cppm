// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

export module strata.mem:thread_cache;

import :decay;
import :size_class;

/// What a thread keeps of one resource: a magazine of free slots for each class (Bonwick, Adams 2001).
///
/// A magazine is an array of pointers filled from the bottom. Under the bottom lies a null, so that taking from an
/// empty one finds it without comparing. Only the owning thread touches magazines; the counters are read by others,
/// hence atomic, but written by plain stores.
///
/// How many slots a magazine may hold adapts. It starts with first(), which is plenty while a class is allocated and
/// deallocated by turns: between two misses of a magazine of n then pass about n²/4 calls. Four misses of one kind in
/// a row mean a phase that only allocates or only deallocates, and double the limit, to capacity() at most; a miss of
/// the other kind halves it.
export namespace strata::mem {

/// Why a magazine could not serve.
enum class cache_miss : bool { empty, full };

class thread_cache {
 public:
  struct magazine {
    void** top;    ///< last pointer in it; the null under the bottom when empty
    void** limit;  ///< last place in use; the null when the limit is 0
  };

 private:
  std::array<magazine, size_class::count> magazines_;  // first: no offset to add on the hot path

 public:
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

  /// A slot of class `c`, or null when there is none.
  [[nodiscard]] inline void* pop(std::size_t c) noexcept {
    magazine& m = magazines_[c];
    void** const top = m.top;
    void* const slot = *top;
    if (slot != nullptr) [[likely]] {
      m.top = top - 1;
    }
    return slot;
  }

  /// False when there is no place.
  [[nodiscard]] inline bool push(std::size_t c, void* slot) noexcept {
    magazine& m = magazines_[c];
    void** const top = m.top;
    if (top == m.limit) [[unlikely]] {
      return false;
    }
    m.top = top + 1;
    top[1] = slot;
    return true;
  }

  /// Bottom of the magazine of class `c`: size(c) pointers, oldest first.
  [[nodiscard]] inline void** bottom(std::size_t c) noexcept { return tempers_[c].bottom; }
  [[nodiscard]] inline std::size_t size(std::size_t c) noexcept {
    return static_cast<std::size_t>(magazines_[c].top + 1 - bottom(c));
  }
  [[nodiscard]] inline std::size_t limit(std::size_t c) noexcept {
    return static_cast<std::size_t>(magazines_[c].limit + 1 - bottom(c));
  }

  /// Drops the `count` oldest. Pre: count <= size(c).
  void drop_oldest(std::size_t c, std::size_t count) noexcept;

  /// Says that bottom(c) now holds `count` more pointers. Pre: it was empty; count <= limit(c).
  inline void filled(std::size_t c, std::size_t count) noexcept { magazines_[c].top += count; }

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

  /// At `now`: whether its thread has made no use of it for a whole period. Looked at by that thread.
  [[nodiscard]] inline bool is_idle(decay_period period, std::uint64_t now) noexcept {
    const std::size_t uses = allocations() + deallocations();
    const bool used = uses != uses_seen_;
    uses_seen_ = uses;
    return idle_.look(period, now, used);
  }

  // Two sums rather than one that goes up and down: each waits for its own last store only.
  inline void handed_out(std::size_t bytes) noexcept {
    add(handed_out_, bytes);
    add(allocations_, 1);
  }
  inline void taken_back(std::size_t bytes) noexcept {
    add(taken_back_, bytes);
    add(deallocations_, 1);
  }

  /// Bytes this thread handed out, less those it took back: modulo 2^64, since what one thread hands out another may
  /// take back.
  [[nodiscard]] inline std::size_t live() const noexcept {
    return handed_out_.load(std::memory_order_relaxed) - taken_back_.load(std::memory_order_relaxed);
  }
  [[nodiscard]] inline std::size_t allocations() const noexcept { return allocations_.load(std::memory_order_relaxed); }
  [[nodiscard]] inline std::size_t deallocations() const noexcept {
    return deallocations_.load(std::memory_order_relaxed);
  }

  thread_cache* next = nullptr;  ///< caches of the same resource; guarded by :cache_registry
  thread_cache* prev = nullptr;
  void* owner = nullptr;          ///< the resource, as :cache_registry knows it
  thread_cache** home = nullptr;  ///< the place in the thread's table that points here

 private:
  thread_cache() = default;

  // One writer: a plain add that other threads may read.
  static inline void add(std::atomic<std::size_t>& counter, std::size_t n) noexcept {
    counter.store(counter.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }

  std::atomic<std::size_t> handed_out_{0};  ///< bytes
  std::atomic<std::size_t> taken_back_{0};  ///< bytes
  std::atomic<std::size_t> allocations_{0};
  std::atomic<std::size_t> deallocations_{0};

  // What only misses look at.
  struct temper {
    void** bottom;
    std::int32_t streak;  ///< misses of one kind in a row: above 0 empty, below 0 full
  };
  std::array<temper, size_class::count> tempers_;
  std::size_t granted_ = 0;
  std::size_t victim_ = 0;
  std::size_t uses_seen_ = 0;
  idleness idle_;
};

}  // namespace strata::mem
