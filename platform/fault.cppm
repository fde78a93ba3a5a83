// SPDX-License-Identifier: Apache-2.0
module;
#include <cstdint>

export module strata.platform:fault;

import :error;

/// A call when the program touches memory it may not touch, before the process goes the way it would have gone.
///
/// One hook for the whole process: handlers of SIGSEGV and SIGBUS, which call back and then hand the signal to whatever
/// was there before, as the kernel would have: a handler with its mask and flags (but on this one's stack, see
/// alternate_stack), or the default action, by which the process dies of the fault where it happened, with the core
/// dump that belongs to it. Handlers of sanitizers, run times and debuggers are of that kind.
///
/// Callback  runs in the signal handler of the faulting thread: it makes async-signal-safe calls only, takes no lock that
///           the fault may have found taken, and returns. It is called for what the machine reports, not for signals that
///           somebody sent. A fault of its own goes to the earlier handler at once. errno is kept
/// Order     a handler that somebody installs later lies over this one; if it passes on what it gets, the hook works on
/// Threads   any; a call back may still be under way in another thread after uninstall_fault_hook() returned
/// Fork      a child has the hook, and may install and uninstall for itself
/// Signals   no function is for signal handlers
export namespace strata::platform {

enum class fault_access : std::uint8_t {
  unknown,  ///< the machine does not say
  load,
  store,
  fetch,  ///< of an instruction
};

struct memory_fault {
  const void* address = nullptr;  ///< what was touched; null too when the machine does not say
  fault_access access = fault_access::unknown;
  int signal = 0;                 ///< SIGSEGV or SIGBUS
  int code = 0;                   ///< si_code, such as SEGV_MAPERR
  const void* context = nullptr;  ///< the thread as it was (a ucontext_t), for whoever walks its stack
};

using fault_callback = void (*)(const memory_fault& fault) noexcept;

/// Calls back at every fault from now on. What is installed already is not installed again. Pre: `callback` is not null.
/// Refused: another callback is installed (EBUSY); a sanitizer was told to share its handlers with nobody (ENOTSUP); the
/// OS's refusals (ENOMEM). Then nothing has changed.
/// EALREADY: installed, but another handler was put over this floor's since it first was, and may or may not pass on.
[[nodiscard]] os_error install_fault_hook(fault_callback callback) noexcept;

/// Calls back no more, and puts back what was there before. Success too when nothing was installed.
/// EALREADY: another handler lies over this floor's, which stays under it and hands on whatever comes. Other refusals
/// are the OS's, and mean the same.
os_error uninstall_fault_hook() noexcept;

}  // namespace strata::platform

namespace strata::platform {

// What the machine says of the access, out of what the OS gives to a handler. Each OS's own; for signal handlers.
fault_access access_in(const void* context) noexcept;

}  // namespace strata::platform
