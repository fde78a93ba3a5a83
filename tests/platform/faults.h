// SPDX-License-Identifier: Apache-2.0
#ifndef STRATA_TESTS_PLATFORM_FAULTS_H_
#define STRATA_TESTS_PLATFORM_FAULTS_H_

#include <setjmp.h>
#include <signal.h>

#include <cstddef>
#include <cstdint>

namespace strata::test {

/// What a load or store did to the process: which signal, with which code, at which address. signal 0: nothing.
struct fault_seen {
  int signal = 0;
  int code = 0;
  const volatile void* address = nullptr;
};

namespace inner {
inline thread_local sigjmp_buf before_the_access;
inline thread_local fault_seen last_fault;
[[noreturn]] inline void keep(int signal, siginfo_t* info, void*) {
  last_fault = {signal, info->si_code, info->si_addr};
  siglongjmp(before_the_access, 1);
}
}  // namespace inner

/// While it lives, a fault ends the access that accessing() makes, and is told.
class recovering_handler {
 public:
  explicit recovering_handler(int flags = SA_SIGINFO) {
    struct sigaction ours{};
    ours.sa_sigaction = inner::keep;
    ours.sa_flags = flags;
    sigaction(SIGSEGV, &ours, &before_[0]);
    sigaction(SIGBUS, &ours, &before_[1]);
  }
  ~recovering_handler() {
    sigaction(SIGSEGV, &before_[0], nullptr);
    sigaction(SIGBUS, &before_[1], nullptr);
  }
  recovering_handler(const recovering_handler&) = delete;
  recovering_handler& operator=(const recovering_handler&) = delete;

  /// Calls `access` and tells what became of it. Not instrumented: under a sanitizer the machine's own answer is asked
  /// for.
  template <typename Access>
  __attribute__((disable_sanitizer_instrumentation, no_sanitize("all"))) static fault_seen accessing(
      const Access& access) {
    inner::last_fault = {};
    if (sigsetjmp(inner::before_the_access, 1) == 0) access();
    return inner::last_fault;
  }

  static fault_seen loading(const volatile void* at) {
    return accessing([at]() __attribute__((disable_sanitizer_instrumentation, no_sanitize("all"))) {
      static_cast<void>(*static_cast<const volatile char*>(at));
    });
  }
  static fault_seen storing(volatile void* at) {
    return accessing([at]() __attribute__((disable_sanitizer_instrumentation, no_sanitize("all"))) {
      *static_cast<volatile char*>(at) = 1;
    });
  }

 private:
  struct sigaction before_[2];
};

/// One access, survived.
inline fault_seen fault_of_load(const volatile void* at) {
  const recovering_handler handler;
  return recovering_handler::loading(at);
}

inline fault_seen fault_of_store(volatile void* at) {
  const recovering_handler handler;
  return recovering_handler::storing(at);
}

}  // namespace strata::test

#endif  // STRATA_TESTS_PLATFORM_FAULTS_H_
