// SPDX-License-Identifier: Apache-2.0
#ifndef STRATA_FAKE_SOLARIS_SYS_STATVFS_H_
#define STRATA_FAKE_SOLARIS_SYS_STATVFS_H_

#include <sys/types.h>

#include "solaris_symbol.h"

struct statvfs {
  unsigned long f_bsize;
  unsigned long f_frsize;
  fsblkcnt_t f_blocks;
  fsblkcnt_t f_bfree;
  fsblkcnt_t f_bavail;
  char f_basetype[16];  // "tmpfs": Solaris' own
};

extern "C" {
int statvfs(const char* path, struct statvfs* found) STRATA_FAKE_SYMBOL(statvfs);
int fstatvfs(int fd, struct statvfs* found) STRATA_FAKE_SYMBOL(fstatvfs);
}

#endif  // STRATA_FAKE_SOLARIS_SYS_STATVFS_H_
