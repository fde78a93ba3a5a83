// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

export module tools:heap_parts;

import :heap_dump;

/// What the bytes of a heap are, and how much there is of each.
export namespace tools {

enum class part : unsigned char { used, movable, slack, overhead, kept, free, other };
inline constexpr std::size_t parts = 7;
[[nodiscard]] std::string_view name_of(part what) noexcept;

/// Bytes by part.
struct mix {
  std::array<std::uint64_t, parts> bytes{};

  [[nodiscard]] inline std::uint64_t operator[](part what) const noexcept {
    return bytes[static_cast<std::size_t>(what)];
  }
  inline void add(part what, std::uint64_t more) noexcept { bytes[static_cast<std::size_t>(what)] += more; }
  inline mix& operator+=(const mix& other) noexcept {
    for (std::size_t i = 0; i < parts; ++i) bytes[i] += other.bytes[i];
    return *this;
  }
  [[nodiscard]] inline std::uint64_t total() const noexcept {
    std::uint64_t sum = 0;
    for (const std::uint64_t b : bytes) sum += b;
    return sum;
  }
  [[nodiscard]] part largest() const noexcept;
};

/// Consecutive bytes: a block, or what of an arena no block covers.
struct extent {
  std::uint64_t begin = 0;
  std::uint64_t bytes = 0;
  const dumped_block* block = nullptr;  ///< null: the arena's own

  [[nodiscard]] inline std::uint64_t end() const noexcept { return begin + bytes; }
};

/// What an extent is made of, in address order: its word, what was asked for, slack, what a movable block has behind.
struct piece {
  part what = part::other;
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
};
[[nodiscard]] std::array<piece, 4> pieces_of(const extent& e) noexcept;

/// Shows an arena's extents, which cover it, in address order.
template <class Visitor>
void for_each_extent(const dumped_arena& arena, Visitor&& visit) {
  std::uint64_t at = arena.start;
  for (const dumped_block& block : arena.blocks) {
    if (block.begin() > at) visit(extent{at, block.begin() - at, nullptr});
    visit(extent{block.begin(), block.bytes, &block});
    at = block.end();
  }
  if (arena.end() > at) visit(extent{at, arena.end() - at, nullptr});
}

/// Neighbours that are free or kept, and would be one block if they were joined; their words included.
struct free_run {
  std::uint64_t begin = 0;
  std::uint64_t bytes = 0;
  std::uint64_t blocks = 0;
};

struct heap_figures {
  mix by_part;
  std::array<std::uint64_t, block_states> blocks{};  ///< by state
  free_run largest;                                  ///< the first of them
  std::uint64_t free_runs = 0;
  std::uint64_t free_bytes = 0;  ///< in runs

  [[nodiscard]] std::uint64_t all_blocks() const noexcept;

  /// 0: what is free is in one piece, or nothing is; towards 1: in many small ones.
  [[nodiscard]] double fragmentation() const noexcept;

  heap_figures& operator+=(const heap_figures& other) noexcept;
};

[[nodiscard]] heap_figures figures_of(const dumped_arena& arena) noexcept;
[[nodiscard]] heap_figures figures_of(const heap_dump& dump) noexcept;

/// The smallest power of two, at least `least`, of which all arenas together have at most `rows` rows; every arena
/// begins a row of its own. Where there are more arenas than rows: that which gives each one row.
[[nodiscard]] std::uint64_t row_bytes(const heap_dump& dump, std::size_t rows, std::uint64_t least) noexcept;

/// An arena in equal cells, the last one shorter.
[[nodiscard]] std::vector<mix> cells_of(const dumped_arena& arena, std::uint64_t cell_bytes);

}  // namespace tools
