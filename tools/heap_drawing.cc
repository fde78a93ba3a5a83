// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include "absl/strings/str_format.h"

module tools:heap_drawing.impl;

import :heap_drawing;
import :heap_dump;
import :heap_parts;
import :text;

namespace tools {
namespace {

constexpr char kClasses[] = {'u', 'm', 's', 'o', 'k', 'f', 'x'};
static_assert(std::size(kClasses) == parts);

// In this order from below.
constexpr part kStacked[] = {part::used,  part::movable, part::slack, part::overhead,
                             part::other, part::kept,    part::free};
static_assert(std::size(kStacked) == parts);

constexpr double kSeen = 0.3;  // what is narrower or lower is left out
constexpr double kGap = 0.7;   // between blocks wide enough to spare it

/// Blocks of one row on their way into one cell.
struct pending_cell {
  std::uint64_t begin = 0, end = 0;
  std::uint64_t blocks = 0;
  mix bytes;
};

class drawing {
 public:
  drawing(const dumped_arena& arena, const drawing_size& size)
      : arena_(arena), size_(size), scale_(size.width / static_cast<double>(size.row)) {}

  void add(const extent& e) {
    for (std::uint64_t at = e.begin; at < e.end();) {
      const std::uint64_t left = size_.row - (at - arena_.start) % size_.row;
      const std::uint64_t end = at + std::min(left, e.end() - at);
      if (pending_.end != pending_.begin && row(pending_.begin) != row(at)) flush();
      if (length(e.bytes) >= size_.block) {
        flush();
        draw_block(e, at, end);
      } else {
        collect(e, at, end);
      }
      at = end;
    }
  }

  void mark(const free_run& run) {
    // A run of several rows is one outline, with a step in its first and its last row.
    const std::uint64_t last = run.begin + run.bytes - 1;
    const std::uint64_t first_row = row(run.begin), last_row = row(last);
    const double x0 = x(run.begin), x1 = x(last) + length(1);
    const double left = size_.margin, right = size_.margin + size_.width;
    const double top = y(first_row), bottom = y(last_row) + size_.height;
    if (first_row == last_row) {
      mark_ = absl::StrFormat("M%.1f %.1fH%.1fV%.1fH%.1fZ", x0, top, x1, bottom, x0);
    } else if (first_row + 1 == last_row && x1 <= x0) {  // its two ends do not touch
      mark_ = absl::StrFormat("M%.1f %.1fH%.1fV%.1fH%.1fZM%.1f %.1fH%.1fV%.1fH%.1fZ", x0, top, right,
                              top + size_.height, x0, left, y(last_row), x1, bottom, left);
    } else {
      mark_ = absl::StrFormat("M%.1f %.1fH%.1fV%.1fH%.1fV%.1fH%.1fV%.1fH%.1fZ", x0, top, right, y(last_row), x1, bottom,
                              left, y(first_row + 1), x0);
    }
  }

  [[nodiscard]] std::string finish(std::size_t number) {
    flush();
    const std::uint64_t rows = row(arena_.end() - 1) + 1;
    const double height = static_cast<double>(rows) * size_.pitch;
    std::string text = absl::StrFormat(
        "<svg viewBox=\"0 0 %.0f %.0f\" role=\"img\" aria-labelledby=\"t%d d%d\">\n<title id=\"t%d\">Arena %d at "
        "0x%x</title>\n<desc id=\"d%d\">%s in %s, rows of %s: %s drawn one by one, %s of smaller ones</desc>\n",
        size_.margin + size_.width + 2, height, number, number, number, number, arena_.start, number,
        for_people(arena_.bytes), counted(arena_.blocks.size(), "block"), for_people(size_.row),
        counted(drawn_, "rect"), counted(cells_, "cell"));
    // A label at every second row is enough, and at the first.
    for (std::uint64_t r = 0; r < rows; r += 2) {
      absl::StrAppendFormat(&text, "<text x=\"%.0f\" y=\"%.1f\">%s</text>\n", size_.margin - 8,
                            y(r) + size_.height - 2.5, label(r));
    }
    text += rects_;
    for (std::size_t i = 0; i < parts; ++i) {
      if (!paths_[i].empty()) absl::StrAppendFormat(&text, "<path class=\"%c\" d=\"%s\"/>\n", kClasses[i], paths_[i]);
    }
    if (!mark_.empty()) absl::StrAppendFormat(&text, "<path class=\"largest\" d=\"%s\"/>\n", mark_);
    return text + "</svg>\n";
  }

 private:
  [[nodiscard]] std::uint64_t row(std::uint64_t at) const { return (at - arena_.start) / size_.row; }
  [[nodiscard]] double x(std::uint64_t at) const { return size_.margin + length((at - arena_.start) % size_.row); }
  [[nodiscard]] double y(std::uint64_t r) const { return static_cast<double>(r) * size_.pitch + 1; }
  [[nodiscard]] double length(std::uint64_t bytes) const { return static_cast<double>(bytes) * scale_; }

  /// How far a row begins from the arena's start: whole units, mostly.
  [[nodiscard]] std::string label(std::uint64_t r) const {
    if (r == 0) return "0";
    std::string text = "+" + for_people(r * size_.row);
    if (const std::size_t at = text.find(".0 "); at != std::string::npos) text.erase(at, 2);
    return text;
  }

  void draw_block(const extent& e, std::uint64_t begin, std::uint64_t end) {
    ++drawn_;
    const double width = length(end - begin);
    const double gap = end == e.end() && width > 3 ? kGap : 0;
    const std::array<piece, 4> pieces = pieces_of(e);
    const part body = e.block == nullptr ? part::overhead : pieces[1].what;
    absl::StrAppendFormat(&rects_, "<rect class=\"%c\" x=\"%.1f\" y=\"%.0f\" width=\"%.1f\" height=\"%.0f\" data-b=\"",
                          class_of(body), x(begin), y(row(begin)), width - gap, size_.height);
    if (e.block == nullptr) {
      absl::StrAppendFormat(&rects_, "%x %d 0 arena\"/>\n", e.begin, e.bytes);
    } else {
      absl::StrAppendFormat(&rects_, "%x %d %d %s\"/>\n", e.block->payload, e.block->bytes, e.block->asked,
                            name_of(e.block->state));
    }
    for (const piece& p : pieces) {
      if (p.what == body) continue;
      const std::uint64_t from = std::max(p.begin, begin), to = std::min(p.end, end);
      if (from >= to) continue;
      const double shown = length(to - from) - (to == end ? gap : 0);
      if (shown >= kSeen) fill(p.what, x(from), y(row(begin)), shown, size_.height);
    }
  }

  void collect(const extent& e, std::uint64_t begin, std::uint64_t end) {
    if (pending_.begin == pending_.end) pending_ = {.begin = begin, .end = begin, .blocks = 0, .bytes = {}};
    pending_.end = end;
    if (e.block != nullptr && begin == e.begin) ++pending_.blocks;
    for (const piece& p : pieces_of(e)) {
      const std::uint64_t from = std::max(p.begin, begin), to = std::min(p.end, end);
      if (from < to) pending_.bytes.add(p.what, to - from);
    }
    if (length(end - pending_.begin) >= size_.cell) flush();
  }

  void flush() {
    const pending_cell cell = std::exchange(pending_, {});
    if (cell.begin == cell.end) return;
    ++cells_;
    part top = part::free;
    for (const part p : kStacked) {
      if (cell.bytes[p] != 0) top = p;
    }
    const double left = x(cell.begin), width = length(cell.end - cell.begin);
    absl::StrAppendFormat(
        &rects_, "<rect class=\"%c\" x=\"%.1f\" y=\"%.0f\" width=\"%.1f\" height=\"%.0f\" data-m=\"%x %d %d",
        class_of(top), left, y(row(cell.begin)), width, size_.height, cell.begin, cell.end - cell.begin, cell.blocks);
    const double per_byte = size_.height / static_cast<double>(cell.end - cell.begin);
    double from = y(row(cell.begin)) + size_.height;
    for (const part p : kStacked) {
      if (cell.bytes[p] == 0) continue;
      absl::StrAppendFormat(&rects_, " %s %d", name_of(p), cell.bytes[p]);
      const double height = static_cast<double>(cell.bytes[p]) * per_byte;
      from -= height;
      if (p != top && height >= kSeen) fill(p, left, from, width, height);
    }
    rects_ += "\"/>\n";
  }

  void fill(part what, double left, double top, double width, double height) {
    absl::StrAppendFormat(&paths_[static_cast<std::size_t>(what)], "M%.1f %.1fh%.1fv%.1fh-%.1fz", left, top, width,
                          height, width);
  }

  const dumped_arena& arena_;
  const drawing_size& size_;
  double scale_;
  pending_cell pending_;
  std::string rects_;
  std::array<std::string, parts> paths_;
  std::string mark_;
  std::uint64_t drawn_ = 0, cells_ = 0;
};

}  // namespace

char class_of(part what) noexcept { return kClasses[static_cast<std::size_t>(what)]; }

std::string draw(const dumped_arena& arena, std::size_t number, const free_run& largest, const drawing_size& size) {
  drawing d(arena, size);
  for_each_extent(arena, [&](const extent& e) { d.add(e); });
  if (largest.bytes != 0 && largest.begin >= arena.start && largest.begin < arena.end()) d.mark(largest);
  return d.finish(number);
}

}  // namespace tools
