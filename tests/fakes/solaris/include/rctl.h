// SPDX-License-Identifier: Apache-2.0
#ifndef STRATA_FAKE_SOLARIS_RCTL_H_
#define STRATA_FAKE_SOLARIS_RCTL_H_

#include <sys/types.h>

#include "solaris_symbol.h"

/// Opaque: how large one is only rctlblk_size() knows.
struct rctlblk;
using rctlblk_t = struct rctlblk;
using rctl_qty_t = u_longlong_t;
using rctl_priv_t = int;

#define RCTL_FIRST 0x00000000
#define RCTL_NEXT 0x00000001
#define RCTL_USAGE 0x00000002
#define RCTL_LOCAL_MAXIMAL 0x80000000

extern "C" {
size_t rctlblk_size(void) STRATA_FAKE_SYMBOL(rctlblk_size);
rctl_qty_t rctlblk_get_value(rctlblk_t* block) STRATA_FAKE_SYMBOL(rctlblk_get_value);
uint_t rctlblk_get_local_flags(rctlblk_t* block) STRATA_FAKE_SYMBOL(rctlblk_get_local_flags);
int getrctl(const char* name, rctlblk_t* old_block, rctlblk_t* new_block, uint_t flags) STRATA_FAKE_SYMBOL(getrctl);
}

#endif  // STRATA_FAKE_SOLARIS_RCTL_H_
