// SPDX-License-Identifier: Apache-2.0
//
// Imports nothing, though its target declares strata.planted_base.
export module strata.planted_superfluous;

export namespace planted {

inline constexpr int superfluous = 2;

}  // namespace planted
