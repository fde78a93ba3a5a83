// SPDX-License-Identifier: Apache-2.0
#include "tests/os_script/os_script.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>
#include <cstddef>
#include <cstdio>
#include <cstdlib>

// A sanitizer's runtime is linked statically, so its calls come through here as well: from before its shadow memory is
// there. Hence the wrappers are not instrumented and, for the same reason, use the compiler's atomics, not a library's
// functions.
#define STRATA_WRAPPER extern "C" __attribute__((disable_sanitizer_instrumentation, visibility("default"), used))
#define STRATA_PLAIN __attribute__((disable_sanitizer_instrumentation, always_inline))

namespace strata::test {
namespace {

constexpr int kWaiting = 8;

struct call_script {
  unsigned calls;
  unsigned failed;
  int always;              // errno of every call, or 0
  unsigned nth[kWaiting];  // number of the call that shall fail, or 0
  int nth_errno[kWaiting];
};

constexpr int kAdvices = 128;

constinit call_script scripts[os_call_count] = {};
constinit int advice_errno[kAdvices] = {};
constinit int active = 0;
constinit std::size_t mapped = 0;

call_script& script_of(os_call call) { return scripts[static_cast<int>(call)]; }

template <typename T>
STRATA_PLAIN inline T load(const T& from) {
  return __atomic_load_n(&from, __ATOMIC_ACQUIRE);
}

template <typename T>
STRATA_PLAIN inline void store(T& to, T value) {
  __atomic_store_n(&to, value, __ATOMIC_RELEASE);
}

/// Counts a call. Returns the errno it shall report, 0 to make it.
STRATA_PLAIN inline int scripted(os_call which) {
  if (load(active) == 0) return 0;
  call_script& script = scripts[static_cast<int>(which)];
  const unsigned number = __atomic_add_fetch(&script.calls, 1, __ATOMIC_ACQ_REL);
  int code = load(script.always);
  for (int i = 0; i != kWaiting; ++i) {
    if (load(script.nth[i]) == number) code = load(script.nth_errno[i]);
  }
  if (code != 0) __atomic_add_fetch(&script.failed, 1, __ATOMIC_ACQ_REL);
  return code;
}

/// Returns the errno an advice shall be refused with, 0 when it shall not.
STRATA_PLAIN inline int refused_advice(int advice) {
  if (load(active) == 0 || advice < 0 || advice >= kAdvices) return 0;
  const int code = load(advice_errno[advice]);
  if (code != 0) __atomic_add_fetch(&scripts[static_cast<int>(os_call::madvise)].failed, 1, __ATOMIC_ACQ_REL);
  return code;
}

STRATA_PLAIN inline std::size_t whole_pages(std::size_t bytes) { return (bytes + 4095) & ~std::size_t{4095}; }

void demand(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "os_script: %s\n", what);
  std::abort();
}

}  // namespace

os_script::os_script() {
  demand(load(active) == 0, "there is a script already");
  for (call_script& script : scripts) {
    store(script.calls, 0U);
    store(script.failed, 0U);
    store(script.always, 0);
    for (unsigned& nth : script.nth) store(nth, 0U);
  }
  for (int& code : advice_errno) store(code, 0);
  store(mapped, std::size_t{0});
  store(active, 1);
}

os_script::~os_script() { store(active, 0); }

void os_script::fail(os_call call, unsigned nth, int code) {
  demand(nth > 0, "the next call is number 1");
  call_script& script = script_of(call);
  const unsigned made = load(script.calls);
  for (int i = 0; i != kWaiting; ++i) {
    if (load(script.nth[i]) > made) continue;  // still waiting
    store(script.nth_errno[i], code);
    store(script.nth[i], made + nth);
    return;
  }
  demand(false, "more than 8 failures of one call are waiting");
}

void os_script::fail_always(os_call call, int code) { store(script_of(call).always, code); }
void os_script::fail_advice(int advice, int code) {
  demand(advice >= 0 && advice < kAdvices, "no such advice");
  store(advice_errno[advice], code);
}

unsigned os_script::calls(os_call call) const { return load(script_of(call).calls); }
unsigned os_script::failed(os_call call) const { return load(script_of(call).failed); }
std::size_t os_script::mapped_bytes() const { return load(mapped); }

}  // namespace strata::test

using strata::test::os_call;
using strata::test::refused_advice;
using strata::test::scripted;

// A call that reports errors by -1 and errno.
#define STRATA_WRAP(result, symbol, call, parameters, arguments) \
  extern "C" result __real_##symbol parameters;                  \
  STRATA_WRAPPER result __wrap_##symbol parameters {             \
    if (const int code = scripted(os_call::call); code != 0) {   \
      errno = code;                                              \
      return -1;                                                 \
    }                                                            \
    return __real_##symbol arguments;                            \
  }                                                              \
  static_assert(true)

// A call that returns its error.
#define STRATA_WRAP_RETURNED(symbol, call, parameters, arguments)         \
  extern "C" int __real_##symbol parameters;                              \
  STRATA_WRAPPER int __wrap_##symbol parameters {                         \
    if (const int code = scripted(os_call::call); code != 0) return code; \
    return __real_##symbol arguments;                                     \
  }                                                                       \
  static_assert(true)

// NOLINTBEGIN(bugprone-reserved-identifier): the linker gives these names.
#define STRATA_WRAP_MMAP(symbol)                                                                            \
  extern "C" void* __real_##symbol(void*, std::size_t, int, int, int, off_t);                               \
  STRATA_WRAPPER void* __wrap_##symbol(void* address, std::size_t bytes, int protection, int flags, int fd, \
                                       off_t offset) {                                                      \
    if (const int code = scripted(os_call::mmap); code != 0) {                                              \
      errno = code;                                                                                         \
      return MAP_FAILED;                                                                                    \
    }                                                                                                       \
    void* const base = __real_##symbol(address, bytes, protection, flags, fd, offset);                      \
    if (base != MAP_FAILED && (flags & MAP_FIXED) == 0) {                                                   \
      __atomic_add_fetch(&strata::test::mapped, strata::test::whole_pages(bytes), __ATOMIC_ACQ_REL);        \
    }                                                                                                       \
    return base;                                                                                            \
  }                                                                                                         \
  static_assert(true)

STRATA_WRAP_MMAP(mmap);
STRATA_WRAP_MMAP(mmap64);

extern "C" int __real_munmap(void*, std::size_t);
STRATA_WRAPPER int __wrap_munmap(void* address, std::size_t bytes) {
  if (const int code = scripted(os_call::munmap); code != 0) {
    errno = code;
    return -1;
  }
  const int result = __real_munmap(address, bytes);
  if (result == 0) __atomic_sub_fetch(&strata::test::mapped, strata::test::whole_pages(bytes), __ATOMIC_ACQ_REL);
  return result;
}

STRATA_WRAP(int, mprotect, mprotect, (void* address, std::size_t bytes, int protection), (address, bytes, protection));

extern "C" int __real_madvise(void*, std::size_t, int);
STRATA_WRAPPER int __wrap_madvise(void* address, std::size_t bytes, int advice) {
  int code = scripted(os_call::madvise);
  if (code == 0) code = refused_advice(advice);
  if (code != 0) {
    errno = code;
    return -1;
  }
  return __real_madvise(address, bytes, advice);
}

STRATA_WRAP(int, mlock, mlock, (const void* address, std::size_t bytes), (address, bytes));
STRATA_WRAP(int, mlock2, mlock2, (const void* address, std::size_t bytes, unsigned flags), (address, bytes, flags));
STRATA_WRAP(int, munlock, munlock, (const void* address, std::size_t bytes), (address, bytes));
STRATA_WRAP(int, shmget, shmget, (key_t key, std::size_t bytes, int flags), (key, bytes, flags));
STRATA_WRAP(int, shmdt, shmdt, (const void* address), (address));
STRATA_WRAP(int, shmctl, shmctl, (int id, int command, shmid_ds* buffer), (id, command, buffer));
STRATA_WRAP(int, shm_open, shm_open, (const char* name, int flags, mode_t mode), (name, flags, mode));
STRATA_WRAP(int, shm_unlink, shm_unlink, (const char* name), (name));
STRATA_WRAP(int, memfd_create, memfd_create, (const char* name, unsigned flags), (name, flags));
STRATA_WRAP(int, ftruncate, ftruncate, (int fd, off_t bytes), (fd, bytes));
STRATA_WRAP(int, ftruncate64, ftruncate, (int fd, off_t bytes), (fd, bytes));
STRATA_WRAP(int, fallocate, fallocate, (int fd, int mode, off_t from, off_t bytes), (fd, mode, from, bytes));
STRATA_WRAP(int, fallocate64, fallocate, (int fd, int mode, off_t from, off_t bytes), (fd, mode, from, bytes));
STRATA_WRAP(int, sigaction, sigaction, (int signal, const struct sigaction* action, struct sigaction* before),
            (signal, action, before));
STRATA_WRAP(int, sigaltstack, sigaltstack, (const stack_t* stack, stack_t* before), (stack, before));
STRATA_WRAP(int, fstat, fstat, (int fd, struct stat* known), (fd, known));
STRATA_WRAP(int, fstat64, fstat, (int fd, struct stat64* known), (fd, known));
STRATA_WRAP(int, fstatvfs, fstatvfs, (int fd, struct statvfs* place), (fd, place));
STRATA_WRAP(int, fstatvfs64, fstatvfs, (int fd, struct statvfs64* place), (fd, place));

extern "C" void* __real_dlopen(const char*, int);
STRATA_WRAPPER void* __wrap_dlopen(const char* file, int mode) {
  if (const int code = scripted(os_call::dlopen); code != 0) {
    errno = code;  // only so that it can be told; dlopen() has texts of its own
    return nullptr;
  }
  return __real_dlopen(file, mode);
}

extern "C" void* __real_shmat(int, const void*, int);
STRATA_WRAPPER void* __wrap_shmat(int id, const void* address, int flags) {
  if (const int code = scripted(os_call::shmat); code != 0) {
    errno = code;
    return MAP_FAILED;  // (void*)-1, as of shmat
  }
  void* const base = __real_shmat(id, address, flags);
  // Segments do not count: one that came over a mapping has taken it away.
  shmid_ds known;
  if (base != MAP_FAILED && (flags & SHM_REMAP) != 0 && __real_shmctl(id, IPC_STAT, &known) == 0)
    __atomic_sub_fetch(&strata::test::mapped, strata::test::whole_pages(known.shm_segsz), __ATOMIC_ACQ_REL);
  return base;
}

STRATA_WRAP(long, sysconf, sysconf, (int what), (what));
STRATA_WRAP(int, sysinfo, sysinfo, (struct sysinfo * info), (info));
STRATA_WRAP(int, sched_getaffinity, sched_getaffinity, (pid_t thread, std::size_t bytes, cpu_set_t* cpus),
            (thread, bytes, cpus));
STRATA_WRAP(int, close, close, (int fd), (fd));
STRATA_WRAP(ssize_t, read, read, (int fd, void* buffer, std::size_t bytes), (fd, buffer, bytes));
STRATA_WRAP(ssize_t, __read_chk, read, (int fd, void* buffer, std::size_t bytes, std::size_t room),
            (fd, buffer, bytes, room));
STRATA_WRAP(ssize_t, getdents64, getdents64, (int fd, void* buffer, std::size_t bytes), (fd, buffer, bytes));
STRATA_WRAP(int, clock_gettime, clock_gettime, (clockid_t clock, timespec* now), (clock, now));
STRATA_WRAP(int, __open_2, open, (const char* name, int flags), (name, flags));
STRATA_WRAP(int, __open64_2, open, (const char* name, int flags), (name, flags));

// Variadic calls: what is passed is taken as register-sized words, as the kernel takes it. Words not passed are not
// used.
#define STRATA_WRAP_OPEN(symbol)                                         \
  extern "C" int __real_##symbol(const char*, int, ...);                 \
  STRATA_WRAPPER int __wrap_##symbol(const char* name, int flags, ...) { \
    std::va_list rest;                                                   \
    va_start(rest, flags);                                               \
    const mode_t mode = va_arg(rest, mode_t);                            \
    va_end(rest);                                                        \
    if (const int code = scripted(os_call::open); code != 0) {           \
      errno = code;                                                      \
      return -1;                                                         \
    }                                                                    \
    return __real_##symbol(name, flags, mode);                           \
  }                                                                      \
  static_assert(true)

STRATA_WRAP_OPEN(open);
STRATA_WRAP_OPEN(open64);

#define STRATA_WRAP_WORDS(result, symbol, type, call)                                    \
  extern "C" result __real_##symbol(type, ...);                                          \
  STRATA_WRAPPER result __wrap_##symbol(type which, ...) {                               \
    unsigned long word[6];                                                               \
    std::va_list rest;                                                                   \
    va_start(rest, which);                                                               \
    for (unsigned long& w : word) w = va_arg(rest, unsigned long);                       \
    va_end(rest);                                                                        \
    if (const int code = scripted(call); code != 0) {                                    \
      errno = code;                                                                      \
      return -1;                                                                         \
    }                                                                                    \
    return __real_##symbol(which, word[0], word[1], word[2], word[3], word[4], word[5]); \
  }                                                                                      \
  static_assert(true)

STRATA_WRAP_WORDS(long, syscall, long, which == SYS_membarrier ? os_call::membarrier : os_call::syscall);
STRATA_WRAP_WORDS(int, prctl, int, os_call::prctl);

STRATA_WRAP(int, statvfs, statvfs, (const char* name, struct statvfs* answer), (name, answer));
STRATA_WRAP(int, statvfs64, statvfs, (const char* name, struct statvfs* answer), (name, answer));
#define STRATA_WRAP_FCNTL(symbol)                                \
  extern "C" int __real_##symbol(int, int, ...);                 \
  STRATA_WRAPPER int __wrap_##symbol(int fd, int command, ...) { \
    std::va_list rest;                                           \
    va_start(rest, command);                                     \
    const unsigned long argument = va_arg(rest, unsigned long);  \
    va_end(rest);                                                \
    if (const int code = scripted(os_call::fcntl); code != 0) {  \
      errno = code;                                              \
      return -1;                                                 \
    }                                                            \
    return __real_##symbol(fd, command, argument);               \
  }                                                              \
  static_assert(true)

STRATA_WRAP_FCNTL(fcntl);
STRATA_WRAP_FCNTL(fcntl64);

extern "C" int __real_ioctl(int, unsigned long, ...);
STRATA_WRAPPER int __wrap_ioctl(int fd, unsigned long request, ...) {
  std::va_list rest;
  va_start(rest, request);
  const unsigned long argument = va_arg(rest, unsigned long);
  va_end(rest);
  if (const int code = scripted(os_call::ioctl); code != 0) {
    errno = code;
    return -1;
  }
  return __real_ioctl(fd, request, argument);
}

STRATA_WRAP_RETURNED(pthread_key_create, pthread_key_create, (pthread_key_t * key, void (*destructor)(void*)),
                     (key, destructor));
STRATA_WRAP_RETURNED(pthread_setspecific, pthread_setspecific, (pthread_key_t key, const void* value), (key, value));
STRATA_WRAP_RETURNED(pthread_atfork, pthread_atfork, (void (*prepare)(), void (*parent)(), void (*child)()),
                     (prepare, parent, child));
STRATA_WRAP_RETURNED(posix_fallocate, posix_fallocate, (int fd, off_t from, off_t bytes), (fd, from, bytes));
STRATA_WRAP_RETURNED(posix_fallocate64, posix_fallocate, (int fd, off_t from, off_t bytes), (fd, from, bytes));
// NOLINTEND(bugprone-reserved-identifier)
