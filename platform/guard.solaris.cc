// SPDX-License-Identifier: Apache-2.0
module;
#include <errno.h>

#include <cstddef>

module strata.platform:guard.solaris;

import :error;
import :guard;

namespace strata::platform {

guard_support guards_supported() noexcept { return guard_support::none; }

os_error guard(void*, std::size_t) noexcept { return {"guard", ENOTSUP}; }

os_error unguard(void*, std::size_t) noexcept { return {"guard", ENOTSUP}; }

}  // namespace strata::platform
