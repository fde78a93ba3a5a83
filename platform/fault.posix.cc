// SPDX-License-Identifier: Apache-2.0
module;
#include <pthread.h>
#include <signal.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <mutex>

module strata.platform:fault.posix;

import :error;
import :fault;
import :fork;
import :image;

namespace strata::platform {
namespace {

using action = struct sigaction;

/// The action a signal had before. Written under a lock, read by handlers at any moment, which may wait for nobody: the
/// last few stand side by side, and a reader looks again when so many came during its reading that its own was reused.
class kept_action {
 public:
  constexpr kept_action() noexcept = default;

  void keep(const action& before) noexcept {
    const unsigned next = newest_.load(std::memory_order_relaxed) + 1;
    std::array<std::uint64_t, kWords> words{};
    std::memcpy(words.data(), &before, sizeof before);
    auto& slot = slots_[next % kSlots];
    for (std::size_t i = 0; i < kWords; ++i) slot[i].store(words[i], std::memory_order_release);
    newest_.store(next, std::memory_order_release);
    spent_.store(false, std::memory_order_release);
  }

  [[nodiscard]] action get() const noexcept {
    for (;;) {
      const unsigned mine = newest_.load(std::memory_order_acquire);
      std::array<std::uint64_t, kWords> words{};
      const auto& slot = slots_[mine % kSlots];
      for (std::size_t i = 0; i < kWords; ++i) words[i] = slot[i].load(std::memory_order_acquire);
      if (newest_.load(std::memory_order_relaxed) - mine > kSlots - 2) continue;
      action before{};
      std::memcpy(&before, words.data(), sizeof before);
      return before;
    }
  }

  /// For a handler that is to be called once (SA_RESETHAND): whether this is the call.
  [[nodiscard]] bool spend() noexcept { return !spent_.exchange(true, std::memory_order_acq_rel); }
  [[nodiscard]] bool spent() const noexcept { return spent_.load(std::memory_order_acquire); }

 private:
  static constexpr unsigned kSlots = 4;
  static constexpr std::size_t kWords = (sizeof(action) + sizeof(std::uint64_t) - 1) / sizeof(std::uint64_t);

  std::atomic<unsigned> newest_{0};
  std::atomic<bool> spent_{false};
  std::array<std::array<std::atomic<std::uint64_t>, kWords>, kSlots> slots_{};
};

struct hooked_signal {
  int number;
  bool hooked = false;  // our handler is there, on top or under others; what was before it is in `before`
  kept_action before{};
};

// A flag whose type is not the same everywhere.
bool for_one_call(const action& what) noexcept {
  return (static_cast<unsigned>(what.sa_flags) & static_cast<unsigned>(SA_RESETHAND)) != 0;
}

constinit hooked_signal hooked_signals[] = {{SIGSEGV}, {SIGBUS}};
constinit std::atomic<fault_callback> installed{nullptr};

// Set while the callback runs, for its own faults. In the static block of thread-local storage: others may be allocated
// when first touched, which a handler must not do.
[[gnu::tls_model("initial-exec")]] constinit thread_local bool calling_back = false;

constinit std::mutex changes;
constinit fork_hook whole_in_child(-1,
                                   {.prepare = [](void*) noexcept { changes.lock(); },
                                    .parent = [](void*) noexcept { changes.unlock(); },
                                    .child = [](void*) noexcept { changes.unlock(); }},
                                   nullptr);

// ---- in the handler

void call_back(int number, const siginfo_t& info, const void* context) noexcept {
  const fault_callback callback = installed.load(std::memory_order_acquire);
  if (callback == nullptr || calling_back || info.si_code <= 0) return;
  calling_back = true;
  callback({info.si_addr, access_in(context), number, info.si_code, context});
  calling_back = false;
}

/// Whether the access is made again when the handler returns, and so the signal. Not if somebody sent it, or if it tells
/// of something that nobody touched.
bool comes_again(const siginfo_t& info) noexcept {
  if (info.si_code <= 0) return false;
#ifdef BUS_MCEERR_AO
  if (info.si_signo == SIGBUS && info.si_code == BUS_MCEERR_AO) return false;
#endif
#ifdef SEGV_MTEAERR
  if (info.si_signo == SIGSEGV && info.si_code == SEGV_MTEAERR) return false;
#endif
  return true;
}

void take_default_action(const siginfo_t& info, int number) noexcept {
  action by_default{};
  by_default.sa_handler = SIG_DFL;
  ::sigemptyset(&by_default.sa_mask);
  ::sigaction(number, &by_default, nullptr);
  if (!comes_again(info)) ::raise(number);
}

void pass_on(hooked_signal& signal, siginfo_t& info, void* context) noexcept {
  const action before = signal.before.get();
  const bool once = for_one_call(before);
  const bool to_handler =
      before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN && (!once || signal.before.spend());
  if (!to_handler) {
    // A fault cannot be ignored: the kernel takes the default action.
    if (before.sa_handler == SIG_IGN && !comes_again(info)) return;
    take_default_action(info, signal.number);
    return;
  }
  // What the kernel would have blocked. It goes back by itself when this handler returns.
  sigset_t blocked = before.sa_mask;
  if ((before.sa_flags & SA_NODEFER) == 0) ::sigaddset(&blocked, signal.number);
  ::pthread_sigmask(SIG_BLOCK, &blocked, nullptr);
  if ((before.sa_flags & SA_SIGINFO) != 0) {
    before.sa_sigaction(signal.number, &info, context);
  } else {
    before.sa_handler(signal.number);
  }
}

extern "C" void strata_platform_on_fault(int number, siginfo_t* info, void* context) {
  const int code = errno;
  call_back(number, *info, context);
  // The earlier handler may never return: nothing of this fault is left set.
  const bool own = calling_back;
  calling_back = false;
  for (hooked_signal& signal : hooked_signals) {
    if (signal.number == number) pass_on(signal, *info, context);
  }
  calling_back = own;
  errno = code;
}

// ---- installing

os_error answer(int result) noexcept { return result == 0 ? success : os_error{"sigaction", errno}; }

bool is_ours(const action& what) noexcept {
  return (what.sa_flags & SA_SIGINFO) != 0 && what.sa_sigaction == strata_platform_on_fault;
}

// Signal by signal: what lies in a mask beyond the last of them is left as it was on somebody's stack.
bool is_same(const action& a, const action& b) noexcept {
  if (a.sa_handler != b.sa_handler || a.sa_flags != b.sa_flags) return false;
  for (int number = 1; number < NSIG; ++number) {
    if (::sigismember(&a.sa_mask, number) != ::sigismember(&b.sa_mask, number)) return false;
  }
  return true;
}

action action_over(const action& before) noexcept {
  action ours{};
  ours.sa_sigaction = strata_platform_on_fault;
  ::sigemptyset(&ours.sa_mask);
  // NODEFER: a fault of the callback comes here, not to the kernel's short end. RESTART: whether system calls go on after
  // a signal that somebody sent is for the earlier handler to say.
  ours.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER | (before.sa_flags & SA_RESTART);
  return ours;
}

os_error put_back(hooked_signal& signal) noexcept {
  action before = signal.before.get();
  if (for_one_call(before) && signal.before.spent()) before.sa_handler = SIG_DFL;
  const os_error refused = answer(::sigaction(signal.number, &before, nullptr));
  if (!refused.failed()) signal.hooked = false;
  return refused;
}

/// Puts our handler over what is there.
os_error hook(hooked_signal& signal) noexcept {
  action before{};
  if (const os_error refused = answer(::sigaction(signal.number, nullptr, &before)); refused.failed()) return refused;
  if (is_ours(before)) return success;
  if (signal.hooked) return {"sigaction", EALREADY};
  signal.before.keep(before);  // before it can be needed
  const action ours = action_over(before);
  action replaced{};
  if (const os_error refused = answer(::sigaction(signal.number, &ours, &replaced)); refused.failed()) return refused;
  if (!is_same(replaced, before)) signal.before.keep(replaced);  // changed in between
  signal.hooked = true;
  // A sanitizer that keeps its handlers for itself says success and does nothing.
  action now{};
  const os_error unseen = answer(::sigaction(signal.number, nullptr, &now));
  if (!unseen.failed() && is_ours(now)) return success;
  if (unseen.failed() && !put_back(signal).failed()) return unseen;
  signal.hooked = unseen.failed();
  return unseen.failed() ? unseen : os_error{"sigaction", ENOTSUP};
}

}  // namespace

os_error install_fault_hook(fault_callback callback) noexcept {
  const auto* const code = reinterpret_cast<const void*>(&strata_platform_on_fault);
  if (const os_error refused = keep_loaded(code); refused.failed()) return refused;
  // Not under our lock, which a fork takes after the registry's.
  if (const os_error refused = at_fork(whole_in_child); refused.failed()) return refused;
  const std::lock_guard lock(changes);
  const fault_callback other = installed.load(std::memory_order_relaxed);
  if (other != nullptr && other != callback) return {"install_fault_hook", EBUSY};
  installed.store(callback, std::memory_order_release);
  os_error covered{};
  bool fresh[std::size(hooked_signals)] = {};
  for (std::size_t i = 0; i < std::size(hooked_signals); ++i) {
    const bool was_hooked = hooked_signals[i].hooked;
    const os_error refused = hook(hooked_signals[i]);
    fresh[i] = !was_hooked && !refused.failed();
    if (refused.code == EALREADY) covered = refused;
    if (!refused.failed() || refused.code == EALREADY) continue;
    if (other == nullptr) installed.store(nullptr, std::memory_order_release);
    for (std::size_t undo = 0; undo < i; ++undo) {
      if (fresh[undo]) static_cast<void>(put_back(hooked_signals[undo]));
    }
    return refused;
  }
  return covered;
}

os_error uninstall_fault_hook() noexcept {
  const std::lock_guard lock(changes);
  installed.store(nullptr, std::memory_order_release);
  os_error first{};
  for (hooked_signal& signal : hooked_signals) {
    if (!signal.hooked) continue;
    action now{};
    os_error refused = answer(::sigaction(signal.number, nullptr, &now));
    if (!refused.failed()) refused = is_ours(now) ? put_back(signal) : os_error{"sigaction", EALREADY};
    if (!first.failed()) first = refused;
  }
  return first;
}

}  // namespace strata::platform
