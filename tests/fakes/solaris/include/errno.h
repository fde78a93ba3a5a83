// SPDX-License-Identifier: Apache-2.0
#ifndef STRATA_FAKE_SOLARIS_ERRNO_H_
#define STRATA_FAKE_SOLARIS_ERRNO_H_

// The numbers are the machine's; what Solaris has no name for is not there to be used by mistake.
#include_next <errno.h>

#undef EHWPOISON
#undef EKEYEXPIRED
#undef EKEYREJECTED
#undef EKEYREVOKED
#undef EMEDIUMTYPE
#undef ENOKEY
#undef ENOMEDIUM
#undef ERFKILL
#undef EUCLEAN

#endif  // STRATA_FAKE_SOLARIS_ERRNO_H_
