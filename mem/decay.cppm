// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>

export module strata.mem:decay;

import :threads;

import strata.platform;

/// How much of what is kept has not been needed for a while, and may go: by time, for every keeper alike.
///
///   kept  |‾‾\__   ___/‾‾‾‾‾‾‾‾
///         |     \_/                      what lies below the lowest point of the last `decay` was of no use to anybody
///         |======================  ----  for all that time: it goes, and nothing else does
///         +-------------------------> now
///
/// A keeper says with each look what it keeps, and the least it kept since the look before. Time is cut into slices of a
/// quarter of the decay or longer, each with its lowest point; what may go is the lowest of as many slices as cover the
/// decay. So what is unused goes after one decay at the earliest, and with looks often enough after one and a quarter at the
/// latest; what a steady load takes and gives back in turns stays. Invariant: no slice's lowest point is above what was kept at
/// any moment of it, less what went since, and what was found since besides.
///
/// Ends of the range: a decay of 0 lets everything go at each look; no_decay never lets anything go. Time begins with the
/// first look. A clock that stands still lets nothing go; one that goes back begins anew, so nothing goes early.
///
/// Nothing throws, allocates or locks; one thread at a time; O(1).
export namespace strata::mem {

/// The clock of decay: nanoseconds from an arbitrary moment, never going back (CLOCK_MONOTONIC where there is one).
using platform::monotonic_ns;

/// A decay, in milliseconds, that never ends.
inline constexpr std::size_t no_decay = std::numeric_limits<std::size_t>::max();

/// How long something kept may be of no use.
class decay_period {
 public:
  explicit inline constexpr decay_period(std::size_t milliseconds) noexcept
      : ns_(milliseconds == no_decay              ? never
            : milliseconds >= longest / 1'000'000 ? longest
                                                  : milliseconds * 1'000'000) {}

  [[nodiscard]] inline constexpr bool is_on() const noexcept { return ns_ != never; }
  [[nodiscard]] inline constexpr std::uint64_t ns() const noexcept { return ns_; }
  /// Least time between two looks that are worth while.
  [[nodiscard]] inline constexpr std::uint64_t slice() const noexcept { return ns_ / slices + (ns_ % slices != 0); }

  static constexpr std::size_t slices = 4;

 private:
  static constexpr std::uint64_t never = std::numeric_limits<std::uint64_t>::max();
  static constexpr std::uint64_t longest = never - 1;

  std::uint64_t ns_;
};

class decay {
 public:
  explicit inline decay(decay_period period) noexcept : period_(period) {}

  [[nodiscard]] inline decay_period period() const noexcept { return period_; }

  /// At `now`, `kept` bytes are kept, and were `low` at the least since the last look. Returns how many may go.
  [[nodiscard]] std::size_t look(std::uint64_t now, std::size_t low, std::size_t kept) noexcept;

  /// Whether a look at `now` begins a slice, as some look does once in a quarter: who has to search for what is not used
  /// need not do so more often.
  [[nodiscard]] inline bool begins_slice(std::uint64_t now) const noexcept {
    return period_.is_on() && (!begun_ || now < last_ || now - current_.start >= period_.slice());
  }

  /// So many bytes of what was kept went, on account of a look or otherwise.
  void gave(std::size_t bytes) noexcept;
  /// So many bytes came to be kept that had been of no use for a whole decay already: they may go at once, and what goes of
  /// them is not taken for something else that went.
  void found(std::size_t bytes) noexcept;

 private:
  struct slice {
    std::uint64_t start;
    std::size_t low;
  };

  decay_period period_;
  bool begun_ = false;
  std::size_t full_ = 0;                            ///< of past_
  std::uint64_t last_ = 0;                          ///< look
  slice current_{};                                 ///< up to now
  std::array<slice, decay_period::slices> past_{};  ///< newest first; each ends where the next begins
};

/// The same for something that is used or not, as a whole.
class idleness {
 public:
  /// At `now`; `used`: it was, since the last look. Returns whether it was not for a whole period.
  [[nodiscard]] inline bool look(decay_period period, std::uint64_t now, bool used) noexcept {
    if (period.ns() == 0) return true;
    if (!begun_ || used || now < since_) {
      begun_ = true;
      since_ = now;
      return false;
    }
    return period.is_on() && now - since_ >= period.ns();
  }

 private:
  std::uint64_t since_ = 0;
  bool begun_ = false;
};

/// When a keeper should look on its own: on slow paths, once in a slice, give or take a thread, and not as long as somebody
/// else sees to it. Without a decay the clock is not read.
template <threads Threads>
class decay_timer {
 public:
  explicit inline decay_timer(decay_period period) noexcept : period_(period) {}

  [[nodiscard]] inline bool is_on() const noexcept { return period_.is_on(); }

  /// Whether a look is due; then `now` says what time it is.
  [[nodiscard]] inline bool is_due(std::uint64_t& now) noexcept {
    if (!period_.is_on()) [[likely]] {
      return false;
    }
    now = monotonic_ns();
    if (now < next_.get()) return false;
    looked(now);
    return true;
  }
  /// There was a look at `now`.
  inline void looked(std::uint64_t now) noexcept { next_.set(now + period_.slice()); }

 private:
  const decay_period period_;
  tally<Threads> next_;  ///< time of the next look
};

}  // namespace strata::mem
