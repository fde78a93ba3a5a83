// SPDX-License-Identifier: Apache-2.0
module;
#include <atomic>
#include <cstdint>
#include <type_traits>

export module strata.mem:growth;

import :threads;

import strata.platform;

/// Whose turn it is to make something shared grow: one thread in an episode, while the others wait and share what comes
/// of it.
///
///   seen = now();  look for what is wanted;  not there:
///       under_way(seen)   -> wait(seen); it failed: so did we; else look again
///       begin(seen)       -> grow, holding no lock, then end(succeeded)
///       else              -> somebody grew since we looked: look again
///
/// As `now` comes before the look, nobody grows on account of an emptiness that has passed. Waiting is sleep in the OS.
/// Any thread. Who grows and comes here again before end() finds is_mine(), and must neither begin nor wait. A child forked in the middle of an episode finds it
/// ended, failed: what the episode changes piece by piece is guarded by a mutex of the grower's, which fork() waits for.
export namespace strata::mem {

class growth {
 public:
  growth() noexcept;
  ~growth();  ///< Pre: nobody waits or grows.
  growth(const growth&) = delete;
  growth& operator=(const growth&) = delete;

  /// A moment in the sequence of episodes.
  using moment = std::uint32_t;

  [[nodiscard]] inline moment now() const noexcept { return state_.load(std::memory_order_acquire); }
  [[nodiscard]] static inline constexpr bool under_way(moment m) noexcept { return (m & growing) != 0; }

  /// True: the calling thread is to grow, then to call end(). False: it is no longer `seen`. Pre: !under_way(seen).
  [[nodiscard]] bool begin(moment seen) noexcept;
  void end(bool succeeded) noexcept;

  /// Whether the episode under way is the calling thread's own.
  [[nodiscard]] bool is_mine() const noexcept;

  /// Waits for the end of an episode; returns whether it succeeded. Pre: under_way(seen), !is_mine().
  [[nodiscard]] bool wait(moment seen) noexcept;

  /// Threads that wait.
  [[nodiscard]] inline std::uint32_t waiting() const noexcept { return waiting_.load(std::memory_order_acquire); }

  /// Why fork() does not know, if it does not: a child might then wait for ever.
  [[nodiscard]] inline platform::os_error unknown_to_fork() const noexcept { return refused_; }

 private:
  static constexpr moment growing = 1;
  static constexpr moment failed = 2;  ///< the episode before
  static constexpr moment episode = 4;

  static void in_child(void* growth) noexcept;

  std::atomic<moment> state_{0};  ///< episodes ended, whether the last failed, whether one is under way
  std::atomic<std::uint32_t> waiting_{0};
  std::atomic<const void*> grower_{nullptr};  ///< an address of the thread's that grows
  platform::fork_hook hook_;
  platform::os_error refused_;
};

/// The same for one thread at a time, whose turn it always is.
class no_growth {
 public:
  [[nodiscard]] static inline constexpr growth::moment now() noexcept { return 0; }
  [[nodiscard]] static inline constexpr bool under_way(growth::moment /*m*/) noexcept { return false; }
  [[nodiscard]] static inline constexpr bool begin(growth::moment /*seen*/) noexcept { return true; }
  static inline constexpr void end(bool /*succeeded*/) noexcept {}
  [[nodiscard]] static inline constexpr bool is_mine() noexcept { return false; }
  [[nodiscard]] static inline constexpr bool wait(growth::moment /*seen*/) noexcept { return true; }
  [[nodiscard]] static inline constexpr std::uint32_t waiting() noexcept { return 0; }
  [[nodiscard]] static inline platform::os_error unknown_to_fork() noexcept { return {}; }
};

template <threads Threads>
using growth_for = std::conditional_t<Threads == threads::any, growth, no_growth>;

/// Takes the next turn, whatever comes of the one under way: for who gives back rather than grows. Pre: !is_mine().
template <class Growth>
inline void take_turn(Growth& turns) noexcept {
  for (;;) {
    const growth::moment seen = turns.now();
    if (turns.under_way(seen)) {
      (void)turns.wait(seen);
    } else if (turns.begin(seen)) {
      return;
    }
  }
}

}  // namespace strata::mem
