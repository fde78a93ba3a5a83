// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <string>
#include <string_view>

export module tools:leak_report;

import :live_set;

/// What is live, grouped by where it was allocated, most bytes first.
export namespace tools {

/// For people.
///
/// \param name  of the log
/// \param top   groups to show; the others in one line. 0 means all
[[nodiscard]] std::string leaks_as_text(const live_set& from, std::string_view name, std::size_t top);

/// For programs; tools/README.md has the keys.
[[nodiscard]] std::string leaks_as_json(const live_set& from);

/// Whether anything is live.
[[nodiscard]] bool any_live(const live_set& from);

}  // namespace tools
