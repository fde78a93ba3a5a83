// SPDX-License-Identifier: Apache-2.0
module;
#include <atomic>
#include <cstddef>
#include <type_traits>

#include "absl/base/thread_annotations.h"

export module strata.mem:threads;

import :lock_watch;
import :mutex;
import :small_mutex;

import strata.platform;

/// Mechanisms that come in two forms: for any thread, and for one at a time without any synchronisation. What differs
/// between the two is named here.
export namespace strata::mem {

enum class threads : bool {
  one,  ///< one thread at a time
  any,
};

/// A lock that does nothing.
class ABSL_LOCKABLE no_mutex {
 public:
  no_mutex() = default;
  explicit no_mutex(int /*rank*/, const char* /*name*/ = nullptr, lock_reach /*reach*/ = {}) noexcept {}
  explicit no_mutex(const char* /*name*/, lock_reach /*reach*/ = {}) noexcept {}
  inline void lock() noexcept ABSL_EXCLUSIVE_LOCK_FUNCTION() {}
  inline void unlock() noexcept ABSL_UNLOCK_FUNCTION() {}
  [[nodiscard]] static inline platform::os_error unknown_to_fork() noexcept { return {}; }
};

template <threads Threads>
using mutex_for = std::conditional_t<Threads == threads::any, mutex, no_mutex>;
template <threads Threads>
using small_mutex_for = std::conditional_t<Threads == threads::any, small_mutex, no_mutex>;

/// A number that threads add to; its value is right when nobody does just now.
template <threads Threads>
class tally {
 public:
  inline void add(std::size_t n) noexcept {
    if constexpr (Threads == threads::any) {
      value_.fetch_add(n, std::memory_order_relaxed);
    } else {
      value_ += n;
    }
  }
  inline void subtract(std::size_t n) noexcept { add(std::size_t{0} - n); }
  inline void set(std::size_t n) noexcept {
    if constexpr (Threads == threads::any) {
      value_.store(n, std::memory_order_relaxed);
    } else {
      value_ = n;
    }
  }
  /// Sets it to `wanted` if it is `seen`; else false, with `seen` as it is now.
  [[nodiscard]] inline bool exchange_if(std::size_t& seen, std::size_t wanted) noexcept {
    if constexpr (Threads == threads::any) {
      return value_.compare_exchange_weak(seen, wanted, std::memory_order_relaxed);
    } else {
      value_ = wanted;
      return true;
    }
  }
  /// Sets it to `n` if that is more; returns what it is then.
  inline std::size_t raise(std::size_t n) noexcept {
    std::size_t seen = get();
    if constexpr (Threads == threads::any) {
      while (n > seen && !value_.compare_exchange_weak(seen, n, std::memory_order_relaxed)) {
      }
    } else if (n > seen) {
      value_ = n;
    }
    return n > seen ? n : seen;
  }
  /// Sets it to `n` if that is less.
  inline void lower(std::size_t n) noexcept {
    std::size_t seen = get();
    if constexpr (Threads == threads::any) {
      while (n < seen && !value_.compare_exchange_weak(seen, n, std::memory_order_relaxed)) {
      }
    } else if (n < seen) {
      value_ = n;
    }
  }
  [[nodiscard]] inline std::size_t get() const noexcept {
    if constexpr (Threads == threads::any) {
      return value_.load(std::memory_order_relaxed);
    } else {
      return value_;
    }
  }

 private:
  std::conditional_t<Threads == threads::any, std::atomic<std::size_t>, std::size_t> value_{0};
};

}  // namespace strata::mem
