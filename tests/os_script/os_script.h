// SPDX-License-Identifier: Apache-2.0
#ifndef STRATA_TESTS_OS_SCRIPT_OS_SCRIPT_H_
#define STRATA_TESTS_OS_SCRIPT_OS_SCRIPT_H_

#include <cstddef>
#include <initializer_list>

/// A scripted operating system: a test says which system call shall fail, when, and with which errno.
///
/// Chosen at link time: a test that depends on //tests/os_script has every call of its statically linked code (Strata's
/// platform floor, the test itself) to the functions below go through a wrapper (`ld --wrap`), which forwards to the
/// real one unless a script says otherwise. Production code has no seam for this and is linked as it is. libc's own
/// inner calls and shared libraries are not touched. A sanitizer's runtime is linked in as well: the few calls it makes
/// by these names (sysconf when a thread starts) count and fail too.
///
///     strata::test::os_script script;
///     script.fail(strata::test::os_call::mmap, 2, ENOMEM);  // the second mmap from here on
///     ...
///     EXPECT_EQ(script.mapped_bytes(), 0U);  // what was mapped since `script` was made has been unmapped
namespace strata::test {

enum class os_call : int {
  mmap,
  munmap,
  mprotect,
  madvise,
  ioctl,
  statvfs,
  mlock,
  mlock2,
  munlock,
  shmget,
  shmat,
  shmdt,
  shmctl,
  shm_open,
  shm_unlink,
  memfd_create,
  ftruncate,
  posix_fallocate,
  fallocate,
  fstat,
  fstatvfs,
  fcntl,
  prctl,
  sigaction,
  sigaltstack,
  syscall,     ///< without those that have names of their own here
  membarrier,  ///< by syscall()
  sysconf,
  sysinfo,
  sched_getaffinity,
  open,
  read,
  close,
  getdents64,
  clock_gettime,
  pthread_key_create,
  pthread_setspecific,
  pthread_atfork,
  dlopen,
};
inline constexpr int os_call_count = static_cast<int>(os_call::dlopen) + 1;

/// While it lives, calls are counted and fail as it says; afterwards everything is as before. One at a time in a
/// process (checked). Members may be called from any thread; the script counts the calls of all threads.
class os_script {
 public:
  os_script();
  ~os_script();
  os_script(const os_script&) = delete;
  os_script& operator=(const os_script&) = delete;

  /// The `nth` call from now on (1 is the next one) is not made and reports `code`, the way this call reports errors.
  /// Several failures of one call may wait at a time (up to 8, checked). Pre: nth > 0.
  void fail(os_call call, unsigned nth, int code);

  /// No call is made from now on; each reports `code`. 0 ends it.
  void fail_always(os_call call, int code);

  /// No madvise with `advice` is made from now on; each reports `code`. 0 ends it. So a kernel that does not know an
  /// advice is simulated. Such calls count as those of madvise, and as failed. Pre: 0 <= advice < 128.
  void fail_advice(int advice, int code);

  /// Calls since this script was made, the failed ones included.
  [[nodiscard]] unsigned calls(os_call call) const;

  /// Calls this script made fail.
  [[nodiscard]] unsigned failed(os_call call) const;

  /// Bytes, in whole pages, mapped since this script was made and not yet unmapped. MAP_FIXED mappings do not count:
  /// they replace. Nor do SysV segments.
  [[nodiscard]] std::size_t mapped_bytes() const;
};

/// Runs `body(script)` again and again, the first `call` failing, then the second, … until it runs without meeting the
/// failure; for each of `codes`. The proof that every step of an operation can fail. Returns how many failures were
/// met.
template <typename Body>
unsigned fail_each(os_call call, std::initializer_list<int> codes, const Body& body) {
  unsigned met = 0;
  for (const int code : codes) {
    for (unsigned nth = 1;; ++nth, ++met) {
      os_script script;
      script.fail(call, nth, code);
      body(script);
      if (script.failed(call) == 0) break;
    }
  }
  return met;
}

}  // namespace strata::test

#endif  // STRATA_TESTS_OS_SCRIPT_OS_SCRIPT_H_
