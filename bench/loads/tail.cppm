// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <cstdint>
#include <vector>

export module bench:tail;

import :subject;

/// How long the slowest allocations take.
export namespace bench {

/// Cycles of the time stamp counter that an allocation takes in the middle of churn_small: median, 99th and 99.9th
/// percentile, less what reading the counter takes. Throws cannot where there is no such counter.
[[nodiscard]] std::vector<double> measure_tail(subject& where, std::size_t live, std::uint64_t operations);

}  // namespace bench
