// SPDX-License-Identifier: Apache-2.0
module;
#include <pthread.h>

#include <mutex>

module strata.platform:fork.posix;

import :error;
import :fork;

namespace strata::platform {

/// Hooks in ascending rank, those of one rank in the order of registration, under one lock.
class fork_list {
 public:
  constexpr fork_list() noexcept = default;

  os_error add(fork_hook& hook, void (*prepare)(), void (*parent)(), void (*child)()) noexcept {
    const std::lock_guard lock(mutex_);
    if (hook.registered_) return success;
    if (!installed_) {
      // The C library may hold a lock of its own here and while it calls prepare(). No cycle: as long as this call has
      // not been made it does not call prepare(), and afterwards it is not made again.
      if (const int code = ::pthread_atfork(prepare, parent, child); code != 0) return {"pthread_atfork", code};
      installed_ = true;
    }
    fork_hook* lower = highest_;
    while (lower != nullptr && lower->rank_ > hook.rank_) lower = lower->lower_;
    fork_hook*& below = lower != nullptr ? lower->higher_ : lowest_;
    fork_hook*& above = below != nullptr ? below->lower_ : highest_;
    hook.lower_ = lower;
    hook.higher_ = below;
    below = above = &hook;
    hook.registered_ = true;
    return success;
  }

  bool remove(fork_hook& hook) noexcept {
    const std::lock_guard lock(mutex_);
    if (!hook.registered_) return false;
    (hook.lower_ != nullptr ? hook.lower_->higher_ : lowest_) = hook.higher_;
    (hook.higher_ != nullptr ? hook.higher_->lower_ : highest_) = hook.lower_;
    hook.lower_ = hook.higher_ = nullptr;
    hook.registered_ = false;
    return true;
  }

  void prepare() noexcept {
    mutex_.lock();
    for (const fork_hook* hook = highest_; hook != nullptr; hook = hook->lower_) call(hook->what_.prepare, *hook);
  }

  void parent() noexcept {
    for (const fork_hook* hook = lowest_; hook != nullptr; hook = hook->higher_) call(hook->what_.parent, *hook);
    mutex_.unlock();
  }

  // The thread that locked lives on as the child's only one, so it may unlock.
  void child() noexcept {
    for (const fork_hook* hook = lowest_; hook != nullptr; hook = hook->higher_) call(hook->what_.child, *hook);
    mutex_.unlock();
  }

 private:
  static void call(fork_hook::callback what, const fork_hook& hook) noexcept {
    if (what != nullptr) what(hook.argument_);
  }

  std::mutex mutex_;
  bool installed_ = false;
  fork_hook* lowest_ = nullptr;
  fork_hook* highest_ = nullptr;
};

namespace {

constinit fork_list hooks;

extern "C" void strata_platform_before_fork() { hooks.prepare(); }
extern "C" void strata_platform_after_fork_in_parent() { hooks.parent(); }
extern "C" void strata_platform_after_fork_in_child() { hooks.child(); }

}  // namespace

os_error at_fork(fork_hook& hook) noexcept {
  return hooks.add(hook, strata_platform_before_fork, strata_platform_after_fork_in_parent,
                   strata_platform_after_fork_in_child);
}

bool cancel(fork_hook& hook) noexcept { return hooks.remove(hook); }

}  // namespace strata::platform
