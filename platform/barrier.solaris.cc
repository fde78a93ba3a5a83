// SPDX-License-Identifier: Apache-2.0
module;
#include <errno.h>

module strata.platform:barrier.solaris;

import :barrier;
import :error;

namespace strata::platform {

os_error process_barrier() noexcept { return {"process_barrier", ENOTSUP}; }

}  // namespace strata::platform
