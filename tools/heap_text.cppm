// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <string>

export module tools:heap_text;

import :heap_dump;

/// A heap on one screen: its arenas in rows of cells, and the figures.
export namespace tools {

struct text_size {
  std::size_t columns = 80;
  std::size_t lines = 24;  ///< that the map and the figures fit in, if the arenas are not too many
};

/// \param colour  for a terminal that knows 256 colours and UTF-8; else plain characters
[[nodiscard]] std::string heap_as_text(const heap_dump& dump, text_size size, bool colour);

/// A line for each thing that does not add up; empty when all does.
[[nodiscard]] std::string faults_as_text(const heap_dump& dump);

}  // namespace tools
