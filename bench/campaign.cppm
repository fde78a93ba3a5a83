// SPDX-License-Identifier: Apache-2.0
module;
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

export module bench:campaign;

import :comparison;
import :contenders;
import :outcome;
import :workload;

/// All measurements of a run, one process each.
export namespace bench {

struct plan {
  std::vector<const workload*> workloads;
  std::vector<const contender*> contenders;
  int rounds;
  double share;        ///< of the operations, as in measure()
  std::uint64_t seed;  ///< of the order
};

struct campaign_result {
  comparison figures;
  std::vector<std::string> left_out;  ///< sentences: who was left out of what, and why
};

/// How one measurement is made: elsewhere, so that the order can be tested without it. Without workload: a probe.
using measurer = std::function<outcome(const workload* what, const contender& who)>;

/// Round by round, workload by workload, the contenders in random order. Who is absent is left out, and so is who may
/// not be shared of workloads with threads. Throws wrong as soon as a contender's books are: no figure of such a run is
/// to be believed.
[[nodiscard]] campaign_result run_campaign(const plan& what, const measurer& measure);

}  // namespace bench
