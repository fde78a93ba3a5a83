// SPDX-License-Identifier: Apache-2.0
module;
#include <string>
#include <vector>

export module bench:child;

import :outcome;

/// A process of its own for each measurement, because heaps carry their history.
export namespace bench {

/// Runs a program and returns what it says on its standard output, which is one line of an outcome.
///
/// \param command  path of the program and its arguments
[[nodiscard]] outcome run_child(const std::vector<std::string>& command);

}  // namespace bench
