// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <cstdint>
#include <thread>

export module strata.mem:patience;

import strata.platform;

/// How long to go on asking when the answer hangs on a thread that may have been stopped in the middle of a step.
///
/// Time alone is no measure: while the machine is busy, a second may be a handful of turns, in none of which the other ran.
/// Nor are looks alone: on an idle processor thousands pass before the other is woken. So patience ends when both are spent,
/// `most_looks` and `most_ns` from the first that lets others run. The first few looks cost nothing: mostly it takes no time at
/// all. Where there is no clock (it says 0), looks alone count.
///
/// One thread's own; nothing throws, allocates or locks; O(1), and a yield.
export namespace strata::mem {

/// What lets others run, and what time it is; a test replaces it.
struct patience_clock {
  static inline void let_others_run() noexcept { std::this_thread::yield(); }
  [[nodiscard]] static inline std::uint64_t now() noexcept { return platform::monotonic_ns(); }
};

template <class Clock = patience_clock>
class patience {
 public:
  static constexpr std::size_t free_looks = 10;
  static constexpr std::size_t most_looks = 10'000;
  static constexpr std::uint64_t most_ns = 1'000'000'000;

  /// Whether to look again. To be asked after each look that left it open.
  [[nodiscard]] inline bool lasts() noexcept {
    if (++looks_ < free_looks) return true;
    Clock::let_others_run();
    if (looks_ < most_looks && until_ != 0) return true;
    const std::uint64_t now = Clock::now();
    if (until_ == 0) until_ = now + most_ns;
    return looks_ < most_looks || (now != 0 && now < until_);
  }

 private:
  std::size_t looks_ = 0;
  std::uint64_t until_ = 0;  ///< none yet
};

}  // namespace strata::mem
