// SPDX-License-Identifier: Apache-2.0
#ifndef STRATA_TESTS_MEM_FAULTS_H_
#define STRATA_TESTS_MEM_FAULTS_H_

#include <setjmp.h>
#include <signal.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>

#include "tests/support/sanitizer.h"

/// Whether an address faults, found out by going there. One thread at a time. Under ThreadSanitizer, which loses its way
/// when a handler jumps, by having the kernel go there.
namespace strata::test {

inline thread_local sigjmp_buf fault_return;
inline thread_local void* volatile fault_address = nullptr;

[[noreturn]] inline void on_fault(int /*signal*/, siginfo_t* info, void* /*context*/) {
  fault_address = info->si_addr;
  siglongjmp(fault_return, 1);
}

/// As long as it lives, faults of segments come back to faults().
class fault_catcher {
 public:
  fault_catcher() {
    struct sigaction wanted{};
    wanted.sa_sigaction = &on_fault;
    wanted.sa_flags = SA_SIGINFO | SA_NODEFER;
    sigaction(SIGSEGV, &wanted, &before_);
  }
  ~fault_catcher() { sigaction(SIGSEGV, &before_, nullptr); }
  fault_catcher(const fault_catcher&) = delete;
  fault_catcher& operator=(const fault_catcher&) = delete;

  /// Whether a load from `p` faults, at that very address.
  [[nodiscard]] static bool load_faults(const void* p) {
    if (under_tsan) return kernel_faults(&::process_vm_readv, p);
    if (sigsetjmp(fault_return, 0) != 0) return fault_address == p;
    static_cast<void>(*static_cast<const volatile char*>(p));
    return false;
  }
  /// The same of a store, of a zero.
  [[nodiscard]] static bool store_faults(void* p) {
    if (under_tsan) return kernel_faults(&::process_vm_writev, p);
    if (sigsetjmp(fault_return, 0) != 0) return fault_address == p;
    *static_cast<volatile char*>(p) = 0;
    return false;
  }
  [[nodiscard]] static bool faults(void* p) { return load_faults(p) && store_faults(p); }

 private:
  template <class Call>
  [[nodiscard]] static bool kernel_faults(Call* call, const void* p) {
    char byte = 0;
    const iovec mine{&byte, 1};
    const iovec there{const_cast<void*>(p), 1};
    return call(::getpid(), &mine, 1, &there, 1, 0) < 0 && errno == EFAULT;
  }

  struct sigaction before_{};
};

}  // namespace strata::test

#endif  // STRATA_TESTS_MEM_FAULTS_H_
