// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string_view>
#include <vector>

module tools:heap_parts.impl;

import :heap_dump;
import :heap_parts;

namespace tools {
namespace {

constexpr std::string_view kParts[] = {"used", "movable", "slack", "overhead", "kept", "free", "other"};
static_assert(std::size(kParts) == parts);

/// What stands at the end of a movable block: who is told when it moves.
constexpr std::uint64_t kMovableOverhead = 16;

part part_of(block_state state) noexcept {
  switch (state) {
    case block_state::used:
      return part::used;
    case block_state::movable:
      return part::movable;
    case block_state::kept:
      return part::kept;
    case block_state::free:
      return part::free;
    case block_state::other:
      return part::other;
  }
  return part::other;
}

bool is_free(const extent& e) noexcept {
  return e.block != nullptr && (e.block->state == block_state::free || e.block->state == block_state::kept);
}

}  // namespace

std::string_view name_of(part what) noexcept { return kParts[static_cast<std::size_t>(what)]; }

part mix::largest() const noexcept {
  return static_cast<part>(std::distance(bytes.begin(), std::max_element(bytes.begin(), bytes.end())));
}

std::array<piece, 4> pieces_of(const extent& e) noexcept {
  if (e.block == nullptr) return {{{part::overhead, e.begin, e.end()}}};
  const bool handed_out = e.block->state == block_state::used || e.block->state == block_state::movable;
  const std::uint64_t body = e.begin + std::min(dumped_block::word, e.bytes);
  const std::uint64_t room = e.end() - body;
  const std::uint64_t behind = e.block->state == block_state::movable ? std::min(kMovableOverhead, room) : 0;
  const std::uint64_t asked = handed_out ? std::min(e.block->asked, room - behind) : room;
  return {{{part::overhead, e.begin, body},
           {part_of(e.block->state), body, body + asked},
           {part::slack, body + asked, e.end() - behind},
           {part::overhead, e.end() - behind, e.end()}}};
}

std::uint64_t heap_figures::all_blocks() const noexcept {
  std::uint64_t sum = 0;
  for (const std::uint64_t b : blocks) sum += b;
  return sum;
}

double heap_figures::fragmentation() const noexcept {
  return free_bytes == 0 ? 0 : 1 - static_cast<double>(largest.bytes) / static_cast<double>(free_bytes);
}

heap_figures& heap_figures::operator+=(const heap_figures& other) noexcept {
  by_part += other.by_part;
  for (std::size_t i = 0; i < block_states; ++i) blocks[i] += other.blocks[i];
  if (other.largest.bytes > largest.bytes) largest = other.largest;
  free_runs += other.free_runs;
  free_bytes += other.free_bytes;
  return *this;
}

heap_figures figures_of(const dumped_arena& arena) noexcept {
  heap_figures figures;
  free_run run;
  const auto end_run = [&] {
    if (run.bytes > figures.largest.bytes) figures.largest = run;
    figures.free_runs += run.blocks != 0 ? 1U : 0U;
    figures.free_bytes += run.bytes;
    run = {};
  };
  for_each_extent(arena, [&](const extent& e) {
    for (const piece& p : pieces_of(e)) figures.by_part.add(p.what, p.end - p.begin);
    if (e.block != nullptr) ++figures.blocks[static_cast<std::size_t>(e.block->state)];
    if (!is_free(e)) return end_run();
    if (run.blocks++ == 0) run.begin = e.begin;
    run.bytes += e.bytes;
  });
  end_run();
  return figures;
}

heap_figures figures_of(const heap_dump& dump) noexcept {
  heap_figures all;
  for (const dumped_arena& arena : dump.arenas) all += figures_of(arena);
  return all;
}

std::uint64_t row_bytes(const heap_dump& dump, std::size_t rows, std::uint64_t least) noexcept {
  constexpr std::uint64_t most = std::uint64_t{1} << 63;
  std::uint64_t largest = 0;
  for (const dumped_arena& arena : dump.arenas) largest = std::max(largest, arena.bytes);
  std::uint64_t row = least;
  for (; row < largest && row < most; row *= 2) {
    std::uint64_t sum = 0;
    for (const dumped_arena& arena : dump.arenas) {
      sum += arena.bytes / row + (arena.bytes % row != 0 ? 1U : 0U);
      if (sum > rows) break;
    }
    if (sum <= rows) break;
  }
  return row;
}

std::vector<mix> cells_of(const dumped_arena& arena, std::uint64_t cell_bytes) {
  std::vector<mix> cells(static_cast<std::size_t>((arena.bytes - 1) / cell_bytes + 1));
  for_each_extent(arena, [&](const extent& e) {
    for (const piece& p : pieces_of(e)) {
      for (std::uint64_t at = p.begin - arena.start; at < p.end - arena.start;) {
        const std::uint64_t cell = at / cell_bytes;
        const std::uint64_t left = cell_bytes - at % cell_bytes;
        const std::uint64_t bytes = std::min(left, p.end - arena.start - at);
        cells[static_cast<std::size_t>(cell)].add(p.what, bytes);
        at += bytes;
      }
    }
  });
  return cells;
}

}  // namespace tools
