// SPDX-License-Identifier: Apache-2.0
#ifndef STRATA_FAKE_SOLARIS_SYMBOL_H_
#define STRATA_FAKE_SOLARIS_SYMBOL_H_

/// The fake's functions bear Solaris' names in the source and names of their own in the object, beside Linux's.
#define STRATA_FAKE_SYMBOL(name) __asm__("strata_solaris_" #name)

#endif  // STRATA_FAKE_SOLARIS_SYMBOL_H_
