// SPDX-License-Identifier: Apache-2.0
module;
#include <span>
#include <string>
#include <string_view>

export module bench:table;

import :comparison;
import :targets;

/// A comparison as text.
export namespace bench {

/// Strata's contenders beside the best peer of each row, and for `judged` whether it meets its targets.
[[nodiscard]] std::string summary_table(const comparison& from, std::string_view judged);

/// Every peer, with its ratio to the best.
[[nodiscard]] std::string peer_table(const comparison& from);

/// A line for each contender in each row: its figure, by that of each reference, and whether it reaches its goals.
[[nodiscard]] std::string reference_table(const comparison& from, std::span<const std::string_view> references,
                                          std::span<const goal> goals);

}  // namespace bench
