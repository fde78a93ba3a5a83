// SPDX-License-Identifier: Apache-2.0
export module bench:measure;

import :contenders;
import :outcome;
import :workload;

/// One measurement, in this process: for one that does nothing else.
export namespace bench {

/// In the end nothing is live any more, and the contender is verified: where its books contradict themselves the outcome
/// is wrong.
///
/// \param share  of the workload's operations, 1 in the full form. A load that is slow is cut off after that many seconds.
[[nodiscard]] outcome measure(const workload& what, const contender& who, double share);

/// Whether the contender is here: absent, or no figures at all.
[[nodiscard]] outcome probe(const contender& who);

}  // namespace bench
