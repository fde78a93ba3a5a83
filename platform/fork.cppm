// SPDX-License-Identifier: Apache-2.0
module;
export module strata.platform:fork;

import :error;

/// Calls before and after fork(), so that a child finds every lock free and what it guards whole.
///
/// Hooks are intrusive: the caller owns the node, which stays where it is until it was cancelled. Nothing is allocated
/// here.
///
/// Order    prepare: descending rank, so what is taken first has the higher rank; parent and child: the exact reverse.
///          Among hooks of one
///          rank prepare calls the one registered last first.
/// Locks    the registry's own lock is taken before the first prepare and released after the last parent or child, so:
///             registry, then the locks of hooks in descending rank.
///          Hence the registry's functions are not called while holding a lock that some prepare takes, and not by a
///          hook; and a hook does not fork. Hooks see no other fork, registration or cancellation between prepare and
///          parent or child.
/// Threads  registering and cancelling from any thread. After cancel() returned no call is under way or to come. Calls
///          are made by the
///          thread that forks; in the child that is the only thread there is
/// Never    around vfork(), posix_spawn(), _Fork() or a bare clone system call
/// Signals  no function is for signal handlers, and fork() in one calls the hooks there
namespace strata::platform {
class fork_list;  // the registry, an affair of the implementation
}

export namespace strata::platform {

class fork_hook {
 public:
  using callback = void (*)(void* argument) noexcept;

  /// What to call, each null or a function, with `argument`.
  struct calls {
    callback prepare = nullptr;  ///< before the fork, in the parent
    callback parent = nullptr;   ///< after it, in the parent; also when fork() failed
    callback child = nullptr;    ///< after it, in the child
  };

  inline constexpr fork_hook(int rank, calls what, void* argument) noexcept
      : rank_(rank), what_(what), argument_(argument) {}
  fork_hook(const fork_hook&) = delete;
  fork_hook& operator=(const fork_hook&) = delete;

 private:
  friend class fork_list;

  int rank_;
  calls what_;
  void* argument_;
  bool registered_ = false;
  fork_hook* lower_ = nullptr;  // neighbours in the order of ranks
  fork_hook* higher_ = nullptr;
};

/// Has `hook` called at every fork from now on. Registering a registered hook changes nothing; O(hooks).
/// Refused, and not registered: ENOMEM.
[[nodiscard]] os_error at_fork(fork_hook& hook) noexcept;

/// Takes the calls back. Returns whether the hook was registered.
bool cancel(fork_hook& hook) noexcept;

}  // namespace strata::platform
