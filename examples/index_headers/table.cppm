// SPDX-License-Identifier: Apache-2.0
module;
#include <cstdint>
#include <string>
#include <vector>

export module index_headers:table;

import :measurement;
import :memories;

/// The result: one row a memory, each against the first.
export namespace index_headers {

/// All that was measured in one memory.
struct row {
  const memory* where = nullptr;
  std::vector<measurement> timed;  ///< one a repetition, at least one
};

/// The containers ask every memory for the same: their requests are counted once, in a run that is not timed.
struct comparison {
  measurement counted;
  std::vector<row> rows;  ///< at least one; the others are compared with the first
};

/// Returns the middle value; of an even number, the lower of the two in the middle. Pre: not empty.
[[nodiscard]] std::uint64_t median(std::vector<std::uint64_t> values);

/// Returns `number` with commas between thousands.
[[nodiscard]] std::string grouped(std::uint64_t number);

/// Returns the table as text, medians over repetitions.
[[nodiscard]] std::string table(const comparison& all);

}  // namespace index_headers
