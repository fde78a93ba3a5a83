// SPDX-License-Identifier: Apache-2.0
module;
#include <limits.h>
#include <pthread.h>

#include <atomic>
#include <cerrno>
#include <cstdint>

module strata.platform:thread_exit.posix;

import :error;
import :image;
import :thread_exit;

namespace strata::platform {

/// Hooks, the one pushed last first. Each knows the pointer that points to it, so it leaves whatever list it is in, in
/// one step.
class thread_exit_list {
 public:
  constexpr thread_exit_list() noexcept = default;

  bool empty() const noexcept { return first_ == nullptr; }

  void push(thread_exit_hook& hook) noexcept {
    hook.next_ = first_;
    hook.place_ = &first_;
    if (first_ != nullptr) first_->place_ = &hook.next_;
    first_ = &hook;
  }

  static void remove(thread_exit_hook& hook) noexcept {
    *hook.place_ = hook.next_;
    if (hook.next_ != nullptr) hook.next_->place_ = hook.place_;
    hook.next_ = nullptr;
    hook.place_ = nullptr;
  }

  /// Moves the hooks of `from` here. Pre: empty().
  void take(thread_exit_list& from) noexcept {
    first_ = from.first_;
    from.first_ = nullptr;
    if (first_ != nullptr) first_->place_ = &first_;
  }

  /// Calls every hook; each is out of the list when its call begins.
  void run() noexcept {
    while (first_ != nullptr) {
      const thread_exit_hook& hook = *first_;
      remove(*first_);
      hook.run_(hook.argument_);
    }
  }

 private:
  thread_exit_hook* first_ = nullptr;
};

namespace {

constinit thread_local thread_exit_list hooks;

// Rounds begun in this thread. In the OS's last one, a sanitizer whose key is older than ours has already let go of the
// thread, and instrumented code must not run any more.
constinit thread_local int rounds = 0;
constexpr int kRounds = PTHREAD_DESTRUCTOR_ITERATIONS - 1;

// The key plus one; 0 until there is one. Not a mutex: a fork in another thread could leave it held in the child for
// ever.
constinit std::atomic<std::uint64_t> published_key{0};

// One round. The list is emptied first, so that what the hooks register waits for the next round and cannot prolong
// this one.
extern "C" void strata_platform_thread_exit_round(void*) {
  ++rounds;
  thread_exit_list round;
  round.take(hooks);
  round.run();
}

os_error key_of_hooks(pthread_key_t& key) noexcept {
  std::uint64_t published = published_key.load(std::memory_order_acquire);
  if (published == 0) {
    // Threads that are under way call it when they end, even if it lies in a library that was closed before.
    const auto* const ours = reinterpret_cast<const void*>(&strata_platform_thread_exit_round);
    if (const os_error refused = keep_loaded(ours); refused.failed()) return refused;
    pthread_key_t made{};
    if (const int code = ::pthread_key_create(&made, strata_platform_thread_exit_round); code != 0)
      return {"pthread_key_create", code};
    if (published_key.compare_exchange_strong(published, std::uint64_t{made} + 1, std::memory_order_acq_rel)) {
      key = made;
      return success;
    }
    ::pthread_key_delete(made);  // another thread was first; it is in `published`
  }
  key = static_cast<pthread_key_t>(published - 1);
  return success;
}

}  // namespace

os_error at_thread_exit(thread_exit_hook& hook) noexcept {
  if (hook.registered()) return success;
  if (rounds >= kRounds) return {"at_thread_exit", EAGAIN};
  if (hooks.empty()) {
    // Any value but null makes the OS call the round; it clears the value before it does, so each round needs it anew.
    pthread_key_t key{};
    if (const os_error refused = key_of_hooks(key); refused.failed()) return refused;
    if (const int code = ::pthread_setspecific(key, &hooks); code != 0) return {"pthread_setspecific", code};
  }
  hooks.push(hook);
  return success;
}

bool cancel(thread_exit_hook& hook) noexcept {
  if (!hook.registered()) return false;
  thread_exit_list::remove(hook);
  return true;
}

}  // namespace strata::platform
