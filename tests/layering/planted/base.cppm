// SPDX-License-Identifier: Apache-2.0
export module strata.planted_base;

export namespace planted {

inline constexpr int base = 1;

}  // namespace planted
