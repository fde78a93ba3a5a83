// SPDX-License-Identifier: Apache-2.0
module;
export module strata.platform:thread_exit;

import :error;

/// A call when the calling thread ends, for giving back what a thread holds.
///
/// Hooks are intrusive: the caller owns the node, which stays where it is until it has run or was cancelled. Nothing is
/// allocated here (glibc itself allocates once a thread in a program that has more than 32 thread-specific keys).
///
/// When     after the destructors of the thread's C++ thread_local objects, among those of its pthread keys, the hook
///          registered last
///          first. A hook is no longer registered when its call begins, and may register itself or others again, as may
///          any code that runs while the thread ends: those run in the next round. The OS makes
///          PTHREAD_DESTRUCTOR_ITERATIONS rounds (4), of which sanitizers need the last for themselves. So three are
///          made here, and in the third a registration is refused. Not seen, and lost: a thread's first registration
///          ever that some other key's destructor makes in the OS's last round.
/// Library  where this code lies in a library, that stays loaded from the first registration on (keep_loaded)
/// Never    when the thread does not end but its process: exit(), quick_exit(), _exit(), a signal, a return from main
/// Threads  a hook belongs to the thread that registered it, which alone may cancel it
/// Fork     the child has the hooks of the thread that forked; those of other threads are gone without a call
/// Signals  no function is for signal handlers
namespace strata::platform {
class thread_exit_list;  // the list of one thread's hooks, an affair of the implementation
}

export namespace strata::platform {

class thread_exit_hook {
 public:
  using callback = void (*)(void* argument) noexcept;

  /// Pre: `run` is not null.
  inline constexpr thread_exit_hook(callback run, void* argument) noexcept : run_(run), argument_(argument) {}
  thread_exit_hook(const thread_exit_hook&) = delete;
  thread_exit_hook& operator=(const thread_exit_hook&) = delete;

  /// Whether the call is still to come. For the thread that registered it to ask.
  [[nodiscard]] inline bool registered() const noexcept { return place_ != nullptr; }

 private:
  friend class thread_exit_list;

  callback run_;
  void* argument_;
  thread_exit_hook* next_ = nullptr;
  thread_exit_hook** place_ = nullptr;  // the pointer that points here; null when not registered
};

/// Has `hook` called when the calling thread ends. Registering a registered hook changes nothing.
/// Refused, and not registered: EAGAIN (no key left in the process, or the thread is in its last round: do at once what
/// the hook would have done), ENOMEM, ENOENT (of keep_loaded).
[[nodiscard]] os_error at_thread_exit(thread_exit_hook& hook) noexcept;

/// Takes the call back, also while the thread ends. Returns whether it was still to come.
bool cancel(thread_exit_hook& hook) noexcept;

}  // namespace strata::platform
