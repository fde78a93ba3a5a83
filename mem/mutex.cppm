// SPDX-License-Identifier: Apache-2.0
module;
#include <mutex>

#include "absl/base/thread_annotations.h"

export module strata.mem:mutex;

import :lock_watch;

import strata.platform;

/// A lock that clang's thread-safety analysis knows and that fork() cannot leave taken in the child.
///
/// It is taken before every fork of the process and released on both sides after it: higher rank first, and of one rank
/// the one made later first. Upper layers are made after lower ones and lock before they enter them, so forking locks
/// in the order the layers do. In checked builds a thread that does otherwise is told so (lock_watch).
///
/// std::mutex inside, rather than absl::Mutex, whose packaged build ThreadSanitizer cannot see into. Must not be made
/// or destroyed while a lock of this kind is held.
export namespace strata::mem {

class ABSL_LOCKABLE mutex {
 public:
  /// `name`: whose lock this is, for who gets the order wrong; outlives it.
  explicit mutex(int rank = lock_rank::layer, const char* name = "of a layer",
                 lock_reach reach = lock_reach::own_code) noexcept;
  explicit mutex(const char* name, lock_reach reach = lock_reach::own_code) noexcept
      : mutex(lock_rank::layer, name, reach) {}
  ~mutex();
  mutex(const mutex&) = delete;
  mutex& operator=(const mutex&) = delete;

  inline void lock() ABSL_EXCLUSIVE_LOCK_FUNCTION() {
    watch_.before_wait();
    mutex_.lock();
    watch_.taken();
  }
  inline void unlock() ABSL_UNLOCK_FUNCTION() {
    watch_.before_release();
    mutex_.unlock();
  }
  /// Waits for nobody, so in any order.
  [[nodiscard]] inline bool try_lock() ABSL_EXCLUSIVE_TRYLOCK_FUNCTION(true) {
    if (!mutex_.try_lock()) return false;
    watch_.taken();
    return true;
  }

  /// Why this lock is not known to fork(), if it is not: a child might then find it taken for ever.
  [[nodiscard]] inline platform::os_error unknown_to_fork() const noexcept { return refused_; }

 private:
  // Before a fork and after it. In the order of hooks, and by the one thread there is: nothing to watch but that.
  static void take(void* m) noexcept;
  static void give(void* m) noexcept;

  std::mutex mutex_;
  [[no_unique_address]] lock_watch watch_;
  platform::fork_hook hook_;
  platform::os_error refused_;
};

/// Holds a lock of either kind as long as it lives.
template <class Mutex>
class ABSL_SCOPED_LOCKABLE lock {
 public:
  inline explicit lock(Mutex& m) ABSL_EXCLUSIVE_LOCK_FUNCTION(m) : mutex_(m) { mutex_.lock(); }
  inline ~lock() ABSL_UNLOCK_FUNCTION() { mutex_.unlock(); }
  lock(const lock&) = delete;
  lock& operator=(const lock&) = delete;

 private:
  Mutex& mutex_;
};

template <class Mutex>
lock(Mutex&) -> lock<Mutex>;

/// Releases a mutex that is locked already.
class ABSL_SCOPED_LOCKABLE adopted_lock {
 public:
  inline explicit adopted_lock(mutex& m) ABSL_EXCLUSIVE_LOCKS_REQUIRED(m) : mutex_(m) {}
  inline ~adopted_lock() ABSL_UNLOCK_FUNCTION() { mutex_.unlock(); }
  adopted_lock(const adopted_lock&) = delete;
  adopted_lock& operator=(const adopted_lock&) = delete;

 private:
  mutex& mutex_;
};

}  // namespace strata::mem
