// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/str_format.h"

module tools:heap_page.impl;

import :heap_drawing;
import :heap_dump;
import :heap_page;
import :heap_page_parts;
import :heap_parts;
import :text;

namespace tools {
namespace {

constexpr std::size_t kRows = 100;       // of all arenas together, if they are no more than that
constexpr std::uint64_t kLeast = 1024;   // bytes a row
constexpr std::size_t kMostRows = 4000;  // whatever was asked for

const char* meaning(part what) {
  switch (what) {
    case part::used:
      return "asked for and handed out";
    case part::movable:
      return "handed out, compaction may move it";
    case part::slack:
      return "handed out beyond what was asked for";
    case part::overhead:
      return "the heap's own: 8 bytes a block, and each arena's ends";
    case part::kept:
      return "freed, not joined yet, ready to be handed out";
    case part::free:
      return "free";
    case part::other:
      return "of a state that this tool does not know";
  }
  return "";
}

double percent(std::uint64_t bytes, std::uint64_t of) {
  return of == 0 ? 0 : 100 * static_cast<double>(bytes) / static_cast<double>(of);
}

void append_tile(std::string& text, std::string_view label, std::string_view value, std::string_view note) {
  absl::StrAppendFormat(&text, "<div class=\"tile\"><dt>%s</dt><dd>%s</dd><small>%s</small></div>\n", label, value,
                        note);
}

/// What there is of each part, side by side.
void append_bar(std::string& text, const mix& all) {
  text += "<div class=\"bar\" aria-hidden=\"true\">";
  for (std::size_t i = 0; i < parts; ++i) {
    const auto what = static_cast<part>(i);
    if (all[what] == 0) continue;
    absl::StrAppendFormat(&text, "<i class=\"%c\" style=\"width:%.3f%%\"></i>", class_of(what),
                          percent(all[what], all.total()));
  }
  text += "</div>\n";
}

void append_legend(std::string& text, const mix& all) {
  text += "<ul class=\"legend\">\n";
  for (std::size_t i = 0; i < parts; ++i) {
    const auto what = static_cast<part>(i);
    if (all[what] == 0) continue;
    absl::StrAppendFormat(&text, "<li title=\"%s\"><i class=\"%c\"></i><b>%s</b> %s <span>%.1f %%</span></li>\n",
                          meaning(what), class_of(what), name_of(what), for_people(all[what]),
                          percent(all[what], all.total()));
  }
  if (all[part::free] + all[part::kept] != 0) {
    text += "<li title=\"neighbours that are free, as one\"><i class=\"run\"></i>largest free run</li>\n";
  }
  text += "</ul>\n";
}

void append_tiles(std::string& text, const heap_dump& dump, const heap_figures& figures, std::size_t run_arena) {
  const mix& all = figures.by_part;
  const std::uint64_t live = figures.blocks[static_cast<std::size_t>(block_state::used)] +
                             figures.blocks[static_cast<std::size_t>(block_state::movable)];
  text += "<dl class=\"tiles\">\n";
  append_tile(text, "held", for_people(all.total()), counted(dump.arenas.size(), "arena"));
  append_tile(text, "in use", for_people(all[part::used] + all[part::movable]), counted(live, "block"));
  append_tile(text, "free", for_people(figures.free_bytes), counted(figures.free_runs, "run"));
  append_tile(text, "largest free run", for_people(figures.largest.bytes),
              figures.free_runs == 0 ? std::string("nothing is free")
                                     : absl::StrFormat("in <a href=\"#a%d\">arena %d</a>", run_arena, run_arena));
  append_tile(text, "fragmentation", absl::StrFormat("%.2f", figures.fragmentation()), "1 − largest ÷ free");
  append_tile(text, "slack", absl::StrFormat("%.1f %%", percent(all[part::slack], all.total())),
              for_people(all[part::slack]));
  append_tile(text, "overhead", absl::StrFormat("%.1f %%", percent(all[part::overhead], all.total())),
              for_people(all[part::overhead]));
  text += "</dl>\n";
}

void append_arena(std::string& text, const dumped_arena& arena, std::size_t number, const free_run& largest,
                  const drawing_size& size) {
  const heap_figures figures = figures_of(arena);
  absl::StrAppendFormat(&text,
                        "<section class=\"arena\" id=\"a%d\">\n<h3>Arena %d <code>0x%x</code><span>%s, %s; "
                        "%s in use, %s free in %s</span></h3>\n",
                        number, number, arena.start, for_people(arena.bytes), counted(figures.all_blocks(), "block"),
                        for_people(figures.by_part[part::used] + figures.by_part[part::movable]),
                        for_people(figures.free_bytes), counted(figures.free_runs, "run"));
  append_bar(text, figures.by_part);
  text += draw(arena, number, largest, size);
  text += "</section>\n";
}

/// \param before  arenas of the heaps before this one: each has a number of its own on the page
void append_heap(std::string& text, const heap_dump& dump, std::size_t before, std::uint64_t row) {
  const heap_figures figures = figures_of(dump);
  drawing_size size;
  size.row = row == 0 ? row_bytes(dump, kRows, kLeast) : row_bytes(dump, kMostRows, row);
  std::size_t run_arena = before;
  for (std::size_t i = 0; i < dump.arenas.size(); ++i) {
    const dumped_arena& a = dump.arenas[i];
    if (figures.largest.begin >= a.start && figures.largest.begin < a.end()) run_arena = before + i + 1;
  }
  absl::StrAppendFormat(&text, "<section class=\"heap\">\n<h2>Heap <em>%s</em></h2>\n", html(dump.name));
  for (std::size_t i = 0; i < dump_oddities; ++i) {
    if (dump.odd[i].times == 0) continue;
    absl::StrAppendFormat(&text, "<p class=\"fault\">The dump does not add up: %s (%s, the first in line %d).</p>\n",
                          sentence_of(static_cast<dump_oddity>(i)), counted(dump.odd[i].times, "time"),
                          dump.odd[i].first_line);
  }
  append_tiles(text, dump, figures, run_arena);
  append_bar(text, figures.by_part);
  append_legend(text, figures.by_part);
  for (std::size_t i = 0; i < dump.arenas.size(); ++i) {
    append_arena(text, dump.arenas[i], before + i + 1, figures.largest, size);
  }
  absl::StrAppendFormat(
      &text,
      "<p class=\"scale\">A row is %s of address space, from left to right. Blocks too narrow to be "
      "seen are drawn together, as a cell filled from below by what they consist of.</p>\n</section>\n",
      for_people(size.row));
}

}  // namespace

std::string heap_page(std::span<const heap_dump> dumps, std::string_view source, std::uint64_t row) {
  std::string text = absl::StrFormat(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; "
      "script-src 'unsafe-inline'\">\n<title>Heap map of %s</title>\n<style>\n%s</style>\n</head>\n<body>\n<main>\n"
      "<header><h1>Heap map</h1><p>%s</p></header>\n",
      html(printable(source)), page_style, html(printable(source)));
  std::size_t arenas = 0;
  for (const heap_dump& dump : dumps) {
    append_heap(text, dump, arenas, row);
    arenas += dump.arenas.size();
  }
  return text + "</main>\n<div id=\"tip\" role=\"status\" hidden></div>\n<script>\n" + std::string(page_script) +
         "</script>\n</body>\n</html>\n";
}

}  // namespace tools
