// SPDX-License-Identifier: Apache-2.0
module;
#include <atomic>
#include <cstddef>
#include <initializer_list>
#include <span>

export module strata.pmr:refusals;

import :report;

import strata.mem;

/// What a layer asked the OS for, did not get, and went on without: its degraded states. For layers, also those written
/// by users.
export namespace strata::pmr {

/// How often one thing was refused, and why the last time. Any thread; what is read while others note is each right at
/// some moment, not all at the same.
class refusals {
 public:
  inline void note(mem::os_error cause) noexcept {
    call_.store(cause.call, std::memory_order_relaxed);
    code_.store(cause.code, std::memory_order_relaxed);
    times_.fetch_add(1, std::memory_order_relaxed);
  }

  /// As a state; of 0 times when nothing was refused.
  [[nodiscard]] inline degradation because(const char* reason) const noexcept {
    return {reason,
            {call_.load(std::memory_order_relaxed), code_.load(std::memory_order_relaxed)},
            times_.load(std::memory_order_relaxed)};
  }

 private:
  std::atomic<std::size_t> times_{0};
  std::atomic<const char*> call_{nullptr};
  std::atomic<int> code_{0};
};

/// What layer::degraded() answers: fills `out` with those of the states that came about, and returns how many did.
[[nodiscard]] inline std::size_t tell(std::initializer_list<degradation> states, std::span<degradation> out) noexcept {
  std::size_t count = 0;
  for (const degradation& state : states) {
    if (state.times == 0) continue;
    if (count < out.size()) out[count] = state;
    ++count;
  }
  return count;
}

}  // namespace strata::pmr
