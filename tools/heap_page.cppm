// SPDX-License-Identifier: Apache-2.0
module;
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

export module tools:heap_page;

import :heap_dump;

/// Heaps as one HTML page that needs nothing beside itself: an SVG map of every arena, and the figures.
///
/// An arena is drawn in rows of so many bytes, a block as a rect in each row it lies in, its overhead and its slack to
/// scale within. Blocks that would be too narrow to see are drawn together, as a cell that is filled from below by what
/// they consist of. So a page has at most some ten thousand rects, whatever the heap.
export namespace tools {

/// \param source  what the dumps were read from, for the title
/// \param row     bytes a row; 0: as few as give not too many rows
[[nodiscard]] std::string heap_page(std::span<const heap_dump> dumps, std::string_view source, std::uint64_t row);

}  // namespace tools
