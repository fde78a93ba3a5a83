// SPDX-License-Identifier: Apache-2.0
module;
#include <atomic.h>

#include <cstdint>
#include <type_traits>

export module strata.platform:atomic;

/// One word that several threads change: the few operations that pools need, and no choice of orders.
///
/// The back end over atomic_ops(3C); the contract is that of atomic.cppm, word for word. Those operations promise that
/// the word itself is seen by all, and nothing of what is around it. So what acquires is followed by membar_enter, what
/// releases comes after membar_exit, and what does both stands between the two.
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
  [[nodiscard]] inline T load() const noexcept {
    // One aligned word, read once: what the compiler's builtin says as well, and the language allows.
    const T value = __atomic_load_n(&value_, __ATOMIC_RELAXED);
    ::membar_enter();
    return value;
  }

  /// Releases: what was written before is seen by who sees `value`.
  inline void store(T value) noexcept {
    ::membar_exit();
    __atomic_store_n(&value_, value, __ATOMIC_RELAXED);
  }

  /// Returns the value before.
  inline T swap(T value) noexcept {
    ::membar_exit();
    const T before = exchange(value);
    ::membar_enter();
    return before;
  }

  /// Writes `value` if the word holds `expected`, and returns whether it did; if not, `expected` is what it holds.
  /// Never fails by chance.
  inline bool replace(T& expected, T value) noexcept {
    ::membar_exit();
    const T before = compare_and_swap(expected, value);
    ::membar_enter();
    const bool done = before == expected;
    expected = before;
    return done;
  }

  /// Returns the value afterwards; wraps round. Take away by adding the two's complement.
  inline T add(T amount) noexcept
    requires std::is_integral_v<T>
  {
    ::membar_exit();
    T after = 0;
    if constexpr (sizeof(T) == 8) {
      after = ::atomic_add_64_nv(&value_, static_cast<std::int64_t>(amount));
    } else {
      after = ::atomic_add_32_nv(&value_, static_cast<std::int32_t>(amount));
    }
    ::membar_enter();
    return after;
  }

 private:
  inline T exchange(T value) noexcept {
    if constexpr (std::is_pointer_v<T>) {
      return static_cast<T>(::atomic_swap_ptr(&value_, untyped(value)));
    } else if constexpr (sizeof(T) == 8) {
      return ::atomic_swap_64(&value_, value);
    } else {
      return ::atomic_swap_32(&value_, value);
    }
  }

  inline T compare_and_swap(T expected, T value) noexcept {
    if constexpr (std::is_pointer_v<T>) {
      return static_cast<T>(::atomic_cas_ptr(&value_, untyped(expected), untyped(value)));
    } else if constexpr (sizeof(T) == 8) {
      return ::atomic_cas_64(&value_, expected, value);
    } else {
      return ::atomic_cas_32(&value_, expected, value);
    }
  }

  inline static void* untyped(T pointer) noexcept {
    return const_cast<void*>(static_cast<const volatile void*>(pointer));
  }

  T value_;
};

}  // namespace strata::platform
