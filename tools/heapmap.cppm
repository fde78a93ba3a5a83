// SPDX-License-Identifier: Apache-2.0
module;
#include <span>

export module tools:heapmap;

/// A heap to look at, from what heap_resource::dump() wrote:
///
///     strata heapmap DUMP                      on one screen
///     strata heapmap --html=FILE DUMP          as a page with a map of every arena
///
/// Exit status: 0 shown, 1 shown as far as it adds up, 2 a wrong call, or no dump that can be read.
export namespace tools {

inline constexpr const char* heapmap_usage =
    "strata heapmap [--width=N] [--colour=auto|always|never] [--html=FILE [--row=BYTES]] DUMP    (- for standard "
    "input)";

/// Returns the exit status.
int heapmap(std::span<const char* const> arguments);

}  // namespace tools
