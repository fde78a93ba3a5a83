// SPDX-License-Identifier: Apache-2.0
module;
#include <cstdint>
#include <string>
#include <vector>

export module bench:document;

import :comparison;

/// A run as a JSON document, with every sample.
export namespace bench {

struct run_facts {
  std::uint64_t seed = 0;
  int rounds = 0;
  double share = 0;  ///< of the operations of the full form
  double seconds = 0;
  std::string processor;
  unsigned processors = 0;
};

[[nodiscard]] std::string json_document(const comparison& from, const run_facts& facts,
                                        const std::vector<std::string>& left_out);

}  // namespace bench
