// SPDX-License-Identifier: Apache-2.0
#ifndef STRATA_FAKE_SOLARIS_SYS_PROCESSOR_H_
#define STRATA_FAKE_SOLARIS_SYS_PROCESSOR_H_

#include <sys/procset.h>
#include <sys/types.h>

#include "solaris_symbol.h"

#define PBIND_NONE (-1)
#define PBIND_QUERY (-2)

extern "C" int processor_bind(int kind, id_t id, processorid_t processor, processorid_t* previous)
    STRATA_FAKE_SYMBOL(processor_bind);

#endif  // STRATA_FAKE_SOLARIS_SYS_PROCESSOR_H_
