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

/// Makes one access and survives it. Not instrumented: under a sanitizer the machine's own answer is asked for.
template <typename Access>
__attribute__((disable_sanitizer_instrumentation, no_sanitize("all"))) fault_seen fault_of(const Access& access) {
  struct sigaction ours{};
  ours.sa_sigaction = inner::keep;
  ours.sa_flags = SA_SIGINFO;
  struct sigaction before[2];
  sigaction(SIGSEGV, &ours, &before[0]);
  sigaction(SIGBUS, &ours, &before[1]);
  inner::last_fault = {};
  if (sigsetjmp(inner::before_the_access, 1) == 0) access();
  sigaction(SIGSEGV, &before[0], nullptr);
  sigaction(SIGBUS, &before[1], nullptr);
  return inner::last_fault;
}

inline fault_seen fault_of_load(const volatile void* at) {
  return fault_of([at]() __attribute__((disable_sanitizer_instrumentation, no_sanitize("all"))) {
    static_cast<void>(*static_cast<const volatile char*>(at));
  });
}

inline fault_seen fault_of_store(volatile void* at) {
  return fault_of([at]() __attribute__((disable_sanitizer_instrumentation, no_sanitize("all"))) {
    *static_cast<volatile char*>(at) = 1;
  });
}

}  // namespace strata::test

#endif  // STRATA_TESTS_PLATFORM_FAULTS_H_
