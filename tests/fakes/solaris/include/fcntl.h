// SPDX-License-Identifier: Apache-2.0
#ifndef STRATA_FAKE_SOLARIS_FCNTL_H_
#define STRATA_FAKE_SOLARIS_FCNTL_H_

#include <sys/types.h>

#include "solaris_symbol.h"

// Values of the machine: open() and its relatives are the C library's.
#define O_RDONLY 00
#define O_WRONLY 01
#define O_RDWR 02
#define O_CREAT 0100
#define O_EXCL 0200
#define O_TRUNC 01000
#define O_CLOEXEC 02000000
#define O_NOFOLLOW 0400000

#define F_GETFD 1
#define F_SETFD 2
#define FD_CLOEXEC 1

extern "C" {
int open(const char* name, int flags, ...);
int fcntl(int fd, int command, ...);
int posix_fallocate(int fd, off_t offset, off_t bytes) STRATA_FAKE_SYMBOL(posix_fallocate);
}

#endif  // STRATA_FAKE_SOLARIS_FCNTL_H_
