// SPDX-License-Identifier: Apache-2.0
module;
#include <span>

export module tools:leaks;

/// What a program's call log says is live at its end:
///
///     strata leaks LOG            by call stack, most bytes first; LOG is a file, or - for standard input
///     strata leaks --json LOG     the same for programs
///
/// Exit status: 0 nothing is live, 1 something is, 2 a wrong call, or no log that can be read.
export namespace tools {

inline constexpr const char* leaks_usage =
    "strata leaks [--json] [--top=N] LOG    (LOG: a call log, - for standard input)";

/// Returns the exit status.
int leaks(std::span<const char* const> arguments);

}  // namespace tools
