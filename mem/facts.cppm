// SPDX-License-Identifier: Apache-2.0
module;

export module strata.mem:facts;

import strata.platform;

/// What there is to know about memory here, for the floor above to pass on.
export namespace strata::mem {

using platform::fact;
using platform::fact_unit;
using platform::facts;

}  // namespace strata::mem
