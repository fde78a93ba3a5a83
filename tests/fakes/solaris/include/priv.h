// SPDX-License-Identifier: Apache-2.0
#ifndef STRATA_FAKE_SOLARIS_PRIV_H_
#define STRATA_FAKE_SOLARIS_PRIV_H_

#include <sys/types.h>

#include "solaris_symbol.h"

#define PRIV_PROC_LOCK_MEMORY "proc_lock_memory"
#define PRIV_PROC_MEMINFO "proc_meminfo"

extern "C" boolean_t priv_ineffect(const char* privilege) STRATA_FAKE_SYMBOL(priv_ineffect);

#endif  // STRATA_FAKE_SOLARIS_PRIV_H_
