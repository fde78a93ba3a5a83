// SPDX-License-Identifier: Apache-2.0
module;
#include <span>
#include <string>

export module bench:balance;

import strata.pmr;

/// Whether the books of a stack add up when nobody is at work.
export namespace bench {

/// What contradicts what, in a sentence, in a stack of which everything was given back; empty when nothing does. Used and
/// free bytes are together what there is: a layer took from upstream exactly what it has handed out, keeps and spends,
/// and exactly what the layer below has handed out, where it has but one; the top one has handed out nothing.
///
/// \param rows  the layers' figures, as a report has them
[[nodiscard]] std::string imbalance(std::span<const strata::pmr::report::row> rows);

}  // namespace bench
