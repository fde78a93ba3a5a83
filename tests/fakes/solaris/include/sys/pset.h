// SPDX-License-Identifier: Apache-2.0
#ifndef STRATA_FAKE_SOLARIS_SYS_PSET_H_
#define STRATA_FAKE_SOLARIS_SYS_PSET_H_

#include <sys/processor.h>
#include <sys/procset.h>
#include <sys/types.h>

#include "solaris_symbol.h"

#define PS_NONE (-1)
#define PS_QUERY (-2)
#define PS_MYID (-3)

extern "C" int pset_info(psetid_t set, int* kind, uint_t* count, processorid_t* processors)
    STRATA_FAKE_SYMBOL(pset_info);

#endif  // STRATA_FAKE_SOLARIS_SYS_PSET_H_
