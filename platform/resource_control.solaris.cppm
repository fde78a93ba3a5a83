// SPDX-License-Identifier: Apache-2.0
module;
#include <cstdint>

module strata.platform:resource_control;

/// What limits this process: Solaris' resource controls, by their documented names.
///
/// Private to this floor: an internal partition, imported by implementation units only. Nothing here allocates.
namespace strata::platform {

inline constexpr std::uint64_t unlimited = ~std::uint64_t{0};

/// Returns the smallest value of the control, in its own unit; `unlimited` when none is set or the system has no such
/// control. Pre: `name` is a literal such as "project.max-locked-memory".
[[nodiscard]] std::uint64_t smallest_value(const char* name) noexcept;

}  // namespace strata::platform
