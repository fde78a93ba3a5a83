// SPDX-License-Identifier: Apache-2.0
module;
#include <atomic>
#include <cstdint>
#include <type_traits>

export module strata.platform:atomic;

/// One word that several threads change: the few operations that pools need, and no choice of orders.
///
/// Reading acquires, writing releases, and an operation that does both does both. Two words are not ordered with each
/// other beyond that. This is the back end over std::atomic; atomic.solaris.cppm is the one over atomic_ops(3C).
///
/// Threads  every member from any thread
/// Fork     a word in private memory is the child's own; in shared memory it is one word
/// Signals  every member: nothing locks
export namespace strata::platform {

/// What a word may hold: what every back end does in one instruction. There is no 16-byte one.
template <typename T>
concept atomic_value = std::is_same_v<T, std::uint32_t> || std::is_same_v<T, std::uint64_t> ||
                       (std::is_pointer_v<T> && !std::is_function_v<std::remove_pointer_t<T>>);

template <atomic_value T>
class atomic_word {
 public:
  inline constexpr explicit atomic_word(T value = T{}) noexcept : value_(value) {}
  atomic_word(const atomic_word&) = delete;
  atomic_word& operator=(const atomic_word&) = delete;

  /// Acquires: what was written before the store() that is seen here, is seen after.
  [[nodiscard]] inline T load() const noexcept { return value_.load(std::memory_order_acquire); }

  /// Releases: what was written before is seen by who sees `value`.
  inline void store(T value) noexcept { value_.store(value, std::memory_order_release); }

  /// Returns the value before.
  inline T swap(T value) noexcept { return value_.exchange(value, std::memory_order_acq_rel); }

  /// Writes `value` if the word holds `expected`, and returns whether it did; if not, `expected` is what it holds.
  /// Never fails by chance.
  inline bool replace(T& expected, T value) noexcept {
    return value_.compare_exchange_strong(expected, value, std::memory_order_acq_rel, std::memory_order_acquire);
  }

  /// Returns the value afterwards; wraps round. Take away by adding the two's complement.
  inline T add(T amount) noexcept
    requires std::is_integral_v<T>
  {
    return static_cast<T>(value_.fetch_add(amount, std::memory_order_acq_rel) + amount);
  }

 private:
  std::atomic<T> value_;
  static_assert(std::atomic<T>::is_always_lock_free && sizeof(std::atomic<T>) == sizeof(T));
};

}  // namespace strata::platform
