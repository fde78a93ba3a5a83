// SPDX-License-Identifier: Apache-2.0
module;
#include <mutex>

#include "absl/base/thread_annotations.h"

export module strata.mem:mutex;

/// std::mutex that clang's thread-safety analysis knows. std:: rather than absl::Mutex, whose packaged build
/// ThreadSanitizer cannot see into.
export namespace strata::mem {

class ABSL_LOCKABLE mutex {
 public:
  mutex() = default;
  mutex(const mutex&) = delete;
  mutex& operator=(const mutex&) = delete;

  inline void lock() ABSL_EXCLUSIVE_LOCK_FUNCTION() { mutex_.lock(); }
  inline void unlock() ABSL_UNLOCK_FUNCTION() { mutex_.unlock(); }
  [[nodiscard]] inline bool try_lock() ABSL_EXCLUSIVE_TRYLOCK_FUNCTION(true) { return mutex_.try_lock(); }

 private:
  std::mutex mutex_;
};

/// Holds a mutex as long as it lives.
class ABSL_SCOPED_LOCKABLE lock {
 public:
  inline explicit lock(mutex& m) ABSL_EXCLUSIVE_LOCK_FUNCTION(m) : mutex_(m) { mutex_.lock(); }
  inline ~lock() ABSL_UNLOCK_FUNCTION() { mutex_.unlock(); }
  lock(const lock&) = delete;
  lock& operator=(const lock&) = delete;

 private:
  mutex& mutex_;
};

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
