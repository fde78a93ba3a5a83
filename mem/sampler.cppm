// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <type_traits>

export module strata.mem:sampler;

import :bytes;
import :stripes;
import :threads;

/// Chooses one in N, at random, in a few instructions.
///
/// A thread counts down in a stripe of its own, from a number that is drawn anew each time, between 1 and 2 N - 1. So
/// every gap is as likely as any other and N is their mean: no pattern of requests can stay out of its way for long. Two
/// threads that share a stripe may skip or repeat a step, which changes nothing on average.
///
/// Any thread, or with threads::one one at a time; nothing throws or locks.
export namespace strata::mem {

template <threads Threads>
class sampler {
 public:
  static constexpr std::size_t rarest = std::size_t{1} << 31;

  /// Pre: one_in > 0. Above `rarest` it is that.
  explicit sampler(std::size_t one_in) noexcept
      : one_in_(std::min(one_in, rarest)), random_(0x9E37'79B9'7F4A'7C15U ^ address(this)) {}

  [[nodiscard]] inline std::size_t one_in() const noexcept { return one_in_.load(std::memory_order_relaxed); }
  /// Chooses half as many from the next draw of each thread on. Threads that say so at once do it once.
  inline void make_rarer() noexcept {
    std::size_t n = one_in();
    if (n < rarest)
      static_cast<void>(one_in_.compare_exchange_strong(n, std::min(2 * n, rarest), std::memory_order_relaxed));
  }

  /// Whether this one is chosen.
  [[nodiscard]] inline bool draws() noexcept { return !skips() && draw(); }

  /// The usual half of draws(), for paths on which each instruction counts: true when this one is not chosen. Else draw()
  /// decides.
  [[nodiscard]] inline bool skips() noexcept {
    std::atomic<std::uint32_t>& left = counter();
    const std::uint32_t now = left.load(std::memory_order_relaxed);
    if (now <= 1) [[unlikely]]
      return false;
    left.store(now - 1, std::memory_order_relaxed);
    return true;
  }
  /// The other half. Pre: skips() said no.
  [[nodiscard, gnu::noinline]] bool draw() noexcept {
    std::atomic<std::uint32_t>& left = counter();
    const std::size_t n = one_in();
    if (n == 1) return true;
    // A counter that never counted begins with this one.
    if (left.load(std::memory_order_relaxed) == 0 && !begins_chosen(left, n)) return false;
    left.store(gap(n), std::memory_order_relaxed);
    return true;
  }

 private:
  using counters =
      std::conditional_t<Threads == threads::any, stripes<std::atomic<std::uint32_t>>, std::atomic<std::uint32_t>>;

  [[nodiscard]] inline std::atomic<std::uint32_t>& counter() noexcept {
    if constexpr (Threads == threads::any) {
      return counters_.mine();
    } else {
      return counters_;
    }
  }

  /// From the last one chosen to the next.
  [[nodiscard]] inline std::uint32_t gap(std::size_t n) noexcept {
    std::uint64_t x = random_.load(std::memory_order_relaxed);  // xorshift64 (Marsaglia); a lost step is as good
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    random_.store(x, std::memory_order_relaxed);
    return static_cast<std::uint32_t>(1 + x % (2 * n - 1));
  }

  [[nodiscard]] inline bool begins_chosen(std::atomic<std::uint32_t>& left, std::size_t n) noexcept {
    const std::uint32_t first = gap(n);
    left.store(std::max(first, 2U) - 1, std::memory_order_relaxed);
    return first == 1;
  }

  std::atomic<std::size_t> one_in_;
  std::atomic<std::uint64_t> random_;
  counters counters_{};
};

}  // namespace strata::mem
