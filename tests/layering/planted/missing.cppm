// SPDX-License-Identifier: Apache-2.0
export module strata.planted_missing;

import strata.planted_superfluous;

export namespace planted {

[[nodiscard]] int missing() noexcept;

}  // namespace planted
