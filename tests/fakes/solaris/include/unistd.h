// SPDX-License-Identifier: Apache-2.0
#ifndef STRATA_FAKE_SOLARIS_UNISTD_H_
#define STRATA_FAKE_SOLARIS_UNISTD_H_

#include <stddef.h>
#include <sys/types.h>

#include "solaris_symbol.h"

#define _POSIX_VERSION 200112L
#define _POSIX_THREADS 200112L
#define _POSIX_TIMEOUTS 200112L

#define _SC_PAGESIZE 11
#define _SC_NPROCESSORS_CONF 14
#define _SC_NPROCESSORS_ONLN 15
#define _SC_PHYS_PAGES 500
#define _SC_AVPHYS_PAGES 501

extern "C" {
long sysconf(int what) STRATA_FAKE_SYMBOL(sysconf);

// As everywhere in POSIX.
int close(int fd);
ssize_t read(int fd, void* buffer, size_t bytes);
ssize_t write(int fd, const void* buffer, size_t bytes);
ssize_t pread(int fd, void* buffer, size_t bytes, off_t offset);
ssize_t pwrite(int fd, const void* buffer, size_t bytes, off_t offset);
int ftruncate(int fd, off_t bytes) noexcept;
pid_t getpid(void) noexcept;
int chdir(const char* name) noexcept;
int isatty(int fd) noexcept;
int rmdir(const char* name) noexcept;

// For the C++ library of this machine, whose <atomic> waits with it.
[[deprecated("Solaris has no such call")]] long syscall(long number, ...) noexcept;
}

#endif  // STRATA_FAKE_SOLARIS_UNISTD_H_
