// SPDX-License-Identifier: Apache-2.0
module;
#include <atomic>
#include <cstdint>
#include <type_traits>

export module strata.mem:lock_watch;

import :checked;

/// The order in which locks are taken, and a watch that it is kept.
///
/// A thread takes the lock of higher rank first; of one rank the one made later first. fork() takes them all in this
/// order, so a thread that takes two the other way round may meet it half-way and hang, and so may two threads. In a
/// checked build every lock of a thread is noted, in the thread's own memory, and what is out of order is said by name
/// before the process aborts; in others a watch is empty and its calls are nothing.
///
///     rank                        locks                                    held meanwhile
///     over_upstream       2000    what is held while upstream works            anything below
///     registry            1000    which thread has which cache             anything below
///     thread_numbers       900    numbers of threads                       nothing
///     watched_list         500    all debug_adaptors                       the books of one
///     layer                  0    what a layer or a mechanism in it has    the same of layers below, made earlier
///     shadow_fork           -1    none: pools are copied for a child       all above
///     shadow_space          -2    which addresses are shadows              nothing
///     call_stacks           -3    stacks by number                         nothing
///     pinned_pages          -4    what the process has locked in RAM       nothing
///     loans                 -5    which layer borrows which                nothing
///     inspected_list        -6    all keepers that are inspected           the books of one
///     inspected_books       -7    what one of them knows of its blocks     nothing
///     grounds               -8    what keepers have of upstream            nothing
export namespace strata::mem {

namespace lock_rank {
inline constexpr int over_upstream = 2000;
inline constexpr int registry = 1000;
inline constexpr int thread_numbers = 900;
inline constexpr int watched_list = 500;
inline constexpr int layer = 0;
inline constexpr int shadow_fork = -1;
inline constexpr int shadow_space = -2;
inline constexpr int call_stacks = -3;
inline constexpr int pinned_pages = -4;
inline constexpr int loans = -5;
inline constexpr int inspected_list = -6;
inline constexpr int inspected_books = -7;
inline constexpr int grounds = -8;
inline constexpr int function_names = -9;
}  // namespace lock_rank

/// Whether a lock may be held while code is called that is not its owner's.
enum class lock_reach : bool {
  own_code,
  upstream,  ///< that is what it is for: what is below is entered under it
};

/// What is known of one lock. The lock calls it; any thread.
class lock_watch_kept {
 public:
  lock_watch_kept(const char* name, int rank, lock_reach reach) noexcept;
  ~lock_watch_kept();  ///< says so if it is held
  lock_watch_kept(const lock_watch_kept&) = delete;
  lock_watch_kept& operator=(const lock_watch_kept&) = delete;

  /// Before the calling thread waits for it. Says so when it has it already, or has one that comes after it.
  void before_wait() const noexcept;
  /// fork() is about to take it: says so when the thread that forks has it.
  void before_fork() const noexcept;
  void taken() noexcept;
  /// Before it is released. Says so when the calling thread does not have it.
  void before_release() noexcept;

  [[nodiscard]] inline const char* name() const noexcept { return name_; }
  [[nodiscard]] inline int rank() const noexcept { return rank_; }
  [[nodiscard]] inline std::uint64_t number() const noexcept { return number_; }
  [[nodiscard]] inline lock_reach reach() const noexcept { return reach_; }

 private:
  const char* const name_;
  const int rank_;
  const lock_reach reach_;
  const std::uint64_t number_;  ///< in the order in which locks were made
  std::atomic<bool> held_{false};
};

/// The same where nothing is watched.
class lock_watch_none {
 public:
  inline constexpr lock_watch_none(const char* /*name*/, int /*rank*/, lock_reach /*reach*/) noexcept {}
  static inline void before_wait() noexcept {}
  static inline void before_fork() noexcept {}
  static inline void taken() noexcept {}
  static inline void before_release() noexcept {}
};

using lock_watch = std::conditional_t<checked, lock_watch_kept, lock_watch_none>;

/// Locks too small to have a watch: that a thread does not take one twice, nor release what it has not. Checked builds.
void watch_small_wait(const void* lock) noexcept;
void watch_small_taken(const void* lock) noexcept;
void watch_small_release(const void* lock) noexcept;

void watch_call_out(const char* whom) noexcept;

/// Before code of the program is called, or what can call it: in a checked build says so if the calling thread has a lock
/// that is not meant to be held meanwhile. `whom`: what is called, as part of a sentence.
inline void expect_no_lock_held(const char* whom) noexcept {
  if constexpr (checked) watch_call_out(whom);
}

}  // namespace strata::mem
