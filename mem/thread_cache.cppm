// SPDX-License-Identifier: Apache-2.0
module;
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

export module strata.mem:thread_cache;

import :size_class;

/// What a thread keeps of one resource: a magazine of free slots for each class (Bonwick, Adams 2001).
///
/// A magazine is an array of pointers filled from the bottom. Under the bottom lies a null, so that taking from an
/// empty one finds it without comparing. Only the owning thread touches magazines; the counters are read by others,
/// hence atomic, but written by plain stores.
export namespace strata::mem {

class thread_cache {
 public:
  struct magazine {
    void** top;    ///< last pointer in it; the null under the bottom when empty
    void** limit;  ///< last place
  };

  /// Most slots of class `c` a thread keeps: 32 KiB worth, at least 4, at most 128.
  [[nodiscard]] static inline constexpr std::size_t capacity(std::size_t c) noexcept {
    const std::size_t fits = (std::size_t{32} << 10) / size_class::bytes(c);
    return fits < 4 ? 4 : fits > 128 ? 128 : fits;
  }

  /// Formats `memory`, bytes() long, as an empty cache.
  [[nodiscard]] static thread_cache* format(void* memory) noexcept;
  [[nodiscard]] static std::size_t bytes() noexcept;

  /// A slot of class `c`, or null when there is none.
  [[nodiscard]] inline void* pop(std::size_t c) noexcept {
    magazine& m = magazines_[c];
    void* const slot = *m.top;
    if (slot != nullptr) [[likely]] {
      --m.top;
    }
    return slot;
  }

  /// False when there is no place.
  [[nodiscard]] inline bool push(std::size_t c, void* slot) noexcept {
    magazine& m = magazines_[c];
    if (m.top == m.limit) [[unlikely]] {
      return false;
    }
    *++m.top = slot;
    return true;
  }

  /// Bottom of the magazine of class `c`: size(c) pointers, oldest first.
  [[nodiscard]] inline void** bottom(std::size_t c) noexcept { return magazines_[c].limit - (capacity(c) - 1); }
  [[nodiscard]] inline std::size_t size(std::size_t c) noexcept {
    return static_cast<std::size_t>(magazines_[c].top + 1 - bottom(c));
  }

  /// Drops the `count` oldest. Pre: count <= size(c).
  void drop_oldest(std::size_t c, std::size_t count) noexcept;

  /// Says that bottom(c) now holds `count` more pointers. Pre: it was empty.
  inline void filled(std::size_t c, std::size_t count) noexcept { magazines_[c].top += count; }

  inline void handed_out(std::size_t bytes) noexcept {
    add(live_, bytes);
    add(allocations_, 1);
  }
  inline void taken_back(std::size_t bytes) noexcept {
    add(live_, std::size_t{0} - bytes);
    add(deallocations_, 1);
  }

  /// Bytes this thread handed out, less those it took back: modulo 2^64, since what one thread hands out another may
  /// take back.
  [[nodiscard]] inline std::size_t live() const noexcept { return live_.load(std::memory_order_relaxed); }
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

  std::atomic<std::size_t> live_{0};
  std::atomic<std::size_t> allocations_{0};
  std::atomic<std::size_t> deallocations_{0};
  std::array<magazine, size_class::count> magazines_;
};

}  // namespace strata::mem
