// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>

export module strata.platform:mappings;

/// How many mappings a process may have, and how many it has. Where the OS bounds them, a process at its bound cannot map
/// anything any more, its malloc included: whoever makes many keeps to a share.
///
/// Nothing here throws, allocates or logs; figures are read anew with each call. `root` is put before every path read: a
/// test's tree.
///
/// Threads  any thread
/// Signals  no function is for signal handlers
export namespace strata::platform {

/// Returns the most mappings a process may have; 65530, the usual, when the OS has a bound and does not tell it;
/// SIZE_MAX where there is none.
[[nodiscard]] std::size_t mapping_limit(const char* root = "") noexcept;

/// Returns how many mappings this process has: those of every library, stack and heap, and one or two that the OS
/// lists but does not count. 0 when it does not tell. Takes time for each of them (some 0.3 us): for reports and tests.
[[nodiscard]] std::size_t mappings_now(const char* root = "") noexcept;

}  // namespace strata::platform
