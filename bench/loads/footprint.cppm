// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <cstdint>
#include <vector>

export module bench:footprint;

import :subject;

/// How much memory a contender holds for what it was asked for: growth of the resident set, divided by the bytes that
/// are live. Throws cannot where the system does not say.
export namespace bench {

/// One figure: `live` blocks of 16 to 1024 bytes, after `operations` of them were replaced at random.
[[nodiscard]] std::vector<double> measure_live(subject& where, std::size_t live, std::uint64_t operations);

/// Two figures. `bytes` of small blocks, nine in ten of them deallocated at random and filled up again with larger
/// ones; then everything deallocated and trimmed, divided by what was live before.
[[nodiscard]] std::vector<double> measure_refill(subject& where, std::size_t bytes, std::uint64_t operations);

}  // namespace bench
