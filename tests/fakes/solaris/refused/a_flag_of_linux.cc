// SPDX-License-Identifier: Apache-2.0
#include <sys/mman.h>

int guard(caddr_t base) { return madvise(base, 4096, MADV_HUGEPAGE); }
