// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <cstdint>
#include <string>

export module tools:heap_drawing;

import :heap_dump;
import :heap_parts;

/// An arena as SVG.
///
///     <svg>                         title and desc inside
///       <text>                      how far the row begins from the arena's start
///       <rect data-b="PAYLOAD BYTES ASKED STATE">       a block, or as much of it as lies in this row; STATE arena: what
///                                                       no block covers. Addresses in hexadecimal without 0x
///       <rect data-m="BEGIN BYTES BLOCKS PART BYTES …"> blocks too narrow to be drawn; BLOCKS that begin here
///       <path>                      all slack, all overhead … in front of these
///       <path class="largest">      round the largest free run of the heap
export namespace tools {

struct drawing_size {
  std::uint64_t row = 0;  ///< bytes
  double width = 1120;    ///< of a row; all lengths in units of the drawing
  double height = 13;     ///< of a row
  double pitch = 17;      ///< from row to row
  double margin = 80;     ///< left of the rows, for their labels
  double block = 2.4;     ///< what is narrower is drawn with its neighbours
  double cell = 4;        ///< and these are as wide as this, if there are enough of them
};

/// The class of a part in the drawing and its style.
[[nodiscard]] char class_of(part what) noexcept;

/// \param number   of the arena, counted from 1
/// \param largest  free run of the heap; marked if it lies here
[[nodiscard]] std::string draw(const dumped_arena& arena, std::size_t number, const free_run& largest,
                               const drawing_size& size);

}  // namespace tools
