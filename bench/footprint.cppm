// SPDX-License-Identifier: Apache-2.0
module;
#include <span>

export module bench:footprint;

import :contenders;

/// How much memory a contender holds for what it was asked for.
export namespace bench {

/// Growth of the resident set, divided by the bytes that are live then. NaN when it could not be measured.
struct footprint {
  double live;    ///< in the middle of churn_small
  double refill;  ///< 64 MiB of small blocks, nine in ten of them freed at random, filled up again with larger ones
};

/// Measures in two processes of their own, forked from this one: to be called before it has threads or a heap worth
/// mentioning.
[[nodiscard]] footprint measure_footprint(const contender& where);

}  // namespace bench
