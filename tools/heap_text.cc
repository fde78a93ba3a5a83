// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/str_format.h"

module tools:heap_text.impl;

import :heap_dump;
import :heap_parts;
import :heap_text;
import :text;

namespace tools {
namespace {

constexpr std::size_t kLabel = 15;      // an address and a space
constexpr std::size_t kOtherLines = 9;  // beside the map
constexpr std::size_t kFewestCells = 16;
constexpr std::size_t kFewestRows = 4;

struct look {
  char plain;
  int colour;  // of 256
};
constexpr look kLooks[] = {{'#', 69}, {'m', 37}, {'~', 214}, {'=', 245}, {'k', 140}, {'.', 238}, {'?', 204}};
static_assert(std::size(kLooks) == parts);
constexpr char kMixed = '+';

const look& look_of(part what) { return kLooks[static_cast<std::size_t>(what)]; }

/// The largest part; `+` where blocks in use have less than three quarters of their cell.
char plain(const mix& cell) {
  const part most = cell.largest();
  const bool in_use = most == part::used || most == part::movable;
  return in_use && cell[most] < cell.total() - cell.total() / 4 ? kMixed : look_of(most).plain;
}

/// A character in colours, which are named only where they change.
class painter {
 public:
  explicit painter(std::string& text) : text_(text) {}

  /// How high a cell is filled is how much of it is in use; behind that, most of the rest.
  void append(const mix& cell) {
    constexpr std::string_view heights[] = {" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    const std::uint64_t in_use = cell[part::used] + cell[part::movable];
    const double share = static_cast<double>(in_use) / static_cast<double>(std::max<std::uint64_t>(cell.total(), 1));
    mix rest = cell;
    rest.bytes[static_cast<std::size_t>(part::used)] = rest.bytes[static_cast<std::size_t>(part::movable)] = 0;
    const part front = cell[part::movable] > cell[part::used] ? part::movable : part::used;
    const part behind = rest.total() == 0 ? front : rest.largest();
    const int colours[] = {look_of(front).colour, look_of(behind).colour};
    if (colours[0] != front_ || colours[1] != behind_) {
      absl::StrAppendFormat(&text_, "\033[38;5;%d;48;5;%dm", colours[0], colours[1]);
    }
    front_ = colours[0];
    behind_ = colours[1];
    text_ += heights[static_cast<std::size_t>(share * 8 + 0.5)];
  }

  void end() {
    text_ += "\033[0m";
    front_ = behind_ = -1;
  }

 private:
  std::string& text_;
  int front_ = -1, behind_ = -1;
};

/// Words side by side, in lines no longer than `columns`.
std::string wrapped(const std::vector<std::string>& entries, const std::vector<std::size_t>& widths,
                    std::size_t columns) {
  std::string text;
  std::size_t at = 0;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    if (at != 0 && at + 3 + widths[i] > columns) {
      text += '\n';
      at = 0;
    }
    if (at != 0) text += "   ";
    text += entries[i];
    at += (at != 0 ? 3 : 0) + widths[i];
  }
  return text + '\n';
}

std::string legend(const mix& all, std::size_t columns, bool colour) {
  std::vector<std::string> entries;
  std::vector<std::size_t> widths;
  for (std::size_t i = 0; i < parts; ++i) {
    const auto what = static_cast<part>(i);
    if (all[what] == 0) continue;
    const std::string text = absl::StrFormat("%s %s %.1f %%", name_of(what), for_people(all[what]),
                                             100 * static_cast<double>(all[what]) / static_cast<double>(all.total()));
    widths.push_back(text.size() + 2);
    entries.push_back(colour ? absl::StrFormat("\033[38;5;%dm█\033[0m %s", look_of(what).colour, text)
                             : absl::StrFormat("%c %s", look_of(what).plain, text));
  }
  return wrapped(entries, widths, columns);
}

void append_arena(std::string& text, const dumped_arena& arena, std::uint64_t cell_bytes, std::size_t columns,
                  bool colour) {
  const std::vector<mix> cells = cells_of(arena, cell_bytes);
  painter paint(text);
  for (std::size_t i = 0; i < cells.size(); ++i) {
    if (i % columns == 0) {
      const std::string label =
          i == 0 ? absl::StrFormat("0x%x", arena.start) : absl::StrFormat("+%s", for_people(i * cell_bytes));
      absl::StrAppendFormat(&text, "%*s ", i == 0 ? -14 : 14, label);
    }
    if (colour) {
      paint.append(cells[i]);
    } else {
      text += plain(cells[i]);
    }
    if (i % columns == columns - 1 || i == cells.size() - 1) {
      if (colour) paint.end();
      text += '\n';
    }
  }
}

}  // namespace

std::string heap_as_text(const heap_dump& dump, text_size size, bool colour) {
  const heap_figures figures = figures_of(dump);
  std::uint64_t held = 0;
  for (const dumped_arena& arena : dump.arenas) held += arena.bytes;
  std::string text = absl::StrFormat("heap %s: %s in %s, %s\n", dump.name, for_people(held),
                                     counted(dump.arenas.size(), "arena"), counted(figures.all_blocks(), "block"));
  if (dump.arenas.empty()) return text;
  text += legend(figures.by_part, size.columns, colour);
  if (figures.free_runs == 0) {
    text += "nothing is free\n";
  } else {
    absl::StrAppendFormat(&text, "largest free run %s at 0x%x; %s free in %s: fragmentation %.2f\n",
                          for_people(figures.largest.bytes), figures.largest.begin, for_people(figures.free_bytes),
                          counted(figures.free_runs, "run"), figures.fragmentation());
  }

  const std::size_t columns = std::max(size.columns, kLabel + kFewestCells) - kLabel;
  const std::size_t rows = std::max(size.lines, kOtherLines + kFewestRows) - kOtherLines;
  const std::uint64_t cell_bytes = row_bytes(dump, rows, columns * 16) / columns;

  // Where there are more arenas than rows, the largest are shown.
  std::vector<const dumped_arena*> shown;
  for (const dumped_arena& arena : dump.arenas) shown.push_back(&arena);
  if (shown.size() > rows) {
    std::sort(shown.begin(), shown.end(), [](const dumped_arena* a, const dumped_arena* b) {
      return a->bytes != b->bytes ? a->bytes > b->bytes : a < b;
    });
    shown.resize(rows - 1);
    std::sort(shown.begin(), shown.end());
  }
  text += '\n';
  std::uint64_t shown_bytes = 0;
  for (const dumped_arena* arena : shown) {
    append_arena(text, *arena, cell_bytes, columns, colour);
    shown_bytes += arena->bytes;
  }
  if (shown.size() < dump.arenas.size()) {
    absl::StrAppendFormat(&text, "and %s more, %s together, none larger than these\n",
                          counted(dump.arenas.size() - shown.size(), "arena"), for_people(held - shown_bytes));
  }
  absl::StrAppendFormat(&text, "\na cell is %s: %s\n", for_people(cell_bytes),
                        colour ? "filled as far as it is in use, in front of most of the rest"
                               : "its largest part, + where that is in use but not three quarters");
  return text;
}

std::string faults_as_text(const heap_dump& dump) {
  std::string text;
  for (std::size_t i = 0; i < dump_oddities; ++i) {
    const heap_dump::occurrence& found = dump.odd[i];
    if (found.times == 0) continue;
    absl::StrAppendFormat(&text, "heap %s: does not add up: %s (%s, the first in line %d)\n", dump.name,
                          sentence_of(static_cast<dump_oddity>(i)), counted(found.times, "time"), found.first_line);
  }
  return text;
}

}  // namespace tools
