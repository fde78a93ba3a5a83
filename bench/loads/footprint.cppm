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

/// Blocks of 1 to 512 bytes until `bytes` are live, half of them deallocated at random, and blocks of 513 bytes to 32 KiB
/// until `bytes` are live again, or the memory has no more. One figure, what it holds then by what is live. For memory in
/// a segment that is what of the segment cannot be had as one block any more, and there are two more: the share of its
/// free bytes that cannot be had as one block, and the segment by what is live when it has no more for such blocks.
[[nodiscard]] std::vector<double> measure_holes(subject& where, std::size_t bytes);

}  // namespace bench
