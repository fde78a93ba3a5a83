// SPDX-License-Identifier: Apache-2.0
#ifndef STRATA_FAKE_SOLARIS_SYS_RESOURCE_H_
#define STRATA_FAKE_SOLARIS_SYS_RESOURCE_H_

#include <sys/types.h>

#include "solaris_symbol.h"

#define RLIMIT_FSIZE 1

typedef unsigned long rlim_t;

struct rlimit {
  rlim_t rlim_cur;
  rlim_t rlim_max;
};

extern "C" {
// As everywhere in POSIX.
int getrlimit(int which, struct rlimit* limits) noexcept;
}

#endif  // STRATA_FAKE_SOLARIS_SYS_RESOURCE_H_
