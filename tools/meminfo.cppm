// SPDX-License-Identifier: Apache-2.0
module;
#include <span>
#include <string_view>

export module tools:meminfo;

/// What there is to know about memory here:
///
///     strata meminfo            a table, as prtconf, pagesize, free and ipcs -l together
///     strata meminfo --json     {"memory": {"installed": 25769803776, …}, …}, sizes in bytes
export namespace tools {

inline constexpr const char* meminfo_usage = "strata meminfo [--json]";

/// Returns the exit status.
int meminfo(std::span<const char* const> arguments);

}  // namespace tools
