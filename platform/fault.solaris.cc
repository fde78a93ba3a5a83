// SPDX-License-Identifier: Apache-2.0
module strata.platform:fault.solaris;

import :fault;

namespace strata::platform {

// What a handler's context holds beyond the registers is not documented.
fault_access access_in(const void*) noexcept { return fault_access::unknown; }

}  // namespace strata::platform
