// SPDX-License-Identifier: Apache-2.0
module;
#include <errno.h>

module strata.platform:error.solaris;

import :error;

namespace strata::platform {

// A table of our own: strerror may allocate and speaks the user's language, and not every release has a function for
// names. These are the numbers that the calls of this floor are documented to give, and their neighbours.
const char* name_of(os_error error) noexcept {
  switch (error.code) {
#define STRATA_ERRNO(name) \
  case name:               \
    return #name
    STRATA_ERRNO(E2BIG);
    STRATA_ERRNO(EACCES);
    STRATA_ERRNO(EAGAIN);
    STRATA_ERRNO(EBADF);
    STRATA_ERRNO(EBUSY);
    STRATA_ERRNO(ECHILD);
    STRATA_ERRNO(EDEADLK);
    STRATA_ERRNO(EDOM);
    STRATA_ERRNO(EEXIST);
    STRATA_ERRNO(EFAULT);
    STRATA_ERRNO(EFBIG);
    STRATA_ERRNO(EIDRM);
    STRATA_ERRNO(EINTR);
    STRATA_ERRNO(EINVAL);
    STRATA_ERRNO(EIO);
    STRATA_ERRNO(EISDIR);
    STRATA_ERRNO(ELOOP);
    STRATA_ERRNO(EMFILE);
    STRATA_ERRNO(ENAMETOOLONG);
    STRATA_ERRNO(ENFILE);
    STRATA_ERRNO(ENODEV);
    STRATA_ERRNO(ENOENT);
    STRATA_ERRNO(ENOMEM);
    STRATA_ERRNO(ENOSPC);
    STRATA_ERRNO(ENOSYS);
    STRATA_ERRNO(ENOTDIR);
    STRATA_ERRNO(ENOTSUP);
    STRATA_ERRNO(ENOTTY);
    STRATA_ERRNO(ENXIO);
    STRATA_ERRNO(EOVERFLOW);
    STRATA_ERRNO(EPERM);
    STRATA_ERRNO(EPIPE);
    STRATA_ERRNO(ERANGE);
    STRATA_ERRNO(EROFS);
    STRATA_ERRNO(ESRCH);
    STRATA_ERRNO(ESTALE);
    STRATA_ERRNO(ETIMEDOUT);
    STRATA_ERRNO(EXDEV);
#undef STRATA_ERRNO
    default:
      return "an unknown errno";
  }
}

}  // namespace strata::platform
