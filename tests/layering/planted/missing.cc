// SPDX-License-Identifier: Apache-2.0
//
// Imports strata.planted_base, which comes through strata.planted_superfluous only.
module strata.planted_missing;

import strata.planted_base;

namespace planted {

int missing() noexcept { return base + superfluous; }

}  // namespace planted
