// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <cstdint>
#include <vector>

export module bench:phases;

import :random;
import :subject;

/// mpbench: what each thread of a load generator does. It allocates 500 blocks, frees every second of them, allocates
/// 500 more into the gaps and frees them all.
export namespace bench {

/// The sizes of all blocks: 1 to 512 bytes, the same for every contender.
[[nodiscard]] const drawn_sizes& phase_sizes();

/// Nanoseconds for a block, by the wall clock of each thread for itself: for one of the first 500 allocations, of the 250
/// deallocations, of the second 500 allocations, as the median of the threads' medians; and for one of all three in the
/// slowest thread, on average, waiting for others included. Verified while the threads are still there.
///
/// \param repetitions  in each thread, or as many as there is time for: 0.1 ms for each, all together
[[nodiscard]] std::vector<double> measure_phases(subject& where, std::size_t threads, std::uint64_t repetitions);

}  // namespace bench
