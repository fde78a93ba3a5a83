// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"

module bench:chart.impl;

import :chart;
import :comparison;
import :targets;
import :unit;

namespace bench {
namespace {

// Pixels.
constexpr double kLeft = 130, kPlot = 590, kRight = 220, kTop = 74, kBar = 9, kThinBar = 5, kGap = 8;
constexpr double kLeast = 1.0 / 8, kMost = 32;  // ratios at the edges; beyond, a bar ends at the edge
constexpr const char* kColours[] = {"#1f6fb4", "#d98a29", "#8d6cab", "#4d9a51", "#b3494d"};
constexpr const char* kPeerColour = "#7a7a7a";

/// Where a ratio stands.
double across(double ratio) {
  const double share = std::log(ratio / kLeast) / std::log(kMost / kLeast);
  return kLeft + kPlot * std::clamp(share, 0.0, 1.0);
}

std::string escaped(std::string_view text) {
  return absl::StrReplaceAll(absl::string_view(text.data(), text.size()),
                             {{"&", "&amp;"}, {"<", "&lt;"}, {">", "&gt;"}});
}

class drawing {
 public:
  void text(double x, double y, const char* anchor, std::string_view what, const char* more = "") {
    absl::StrAppendFormat(&out_, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\" %s>%s</text>\n", x, y, anchor, more,
                          escaped(what));
  }
  void box(double x, double y, double width, double height, const char* colour) {
    absl::StrAppendFormat(&out_, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"%s\"/>\n", x, y,
                          width, height, colour);
  }
  void line(double x, double from, double to, const char* colour, double width) {
    absl::StrAppendFormat(&out_, "<path d=\"M%.1f %.1fV%.1f\" stroke=\"%s\" stroke-width=\"%.1f\"/>\n", x, from, to,
                          colour, width);
  }
  void dot(double x, double y) {
    absl::StrAppendFormat(&out_, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"2.2\" fill=\"none\" stroke=\"%s\"/>\n", x, y,
                          kPeerColour);
  }
  [[nodiscard]] const std::string& what() const { return out_; }

 private:
  std::string out_;
};

/// Strata's contenders, and their colours by place.
std::vector<std::size_t> ours(const comparison& from) {
  std::vector<std::size_t> result;
  for (std::size_t c = 0; c < from.columns().size(); ++c) {
    if (!from.columns()[c].peer) result.push_back(c);
  }
  return result;
}

const char* colour(std::size_t place) { return kColours[place % std::size(kColours)]; }

double row_height(std::size_t contenders) {
  return kBar + kThinBar * (static_cast<double>(std::max<std::size_t>(contenders, 1)) - 1) + kGap;
}

void draw_legend(drawing& out, const comparison& from, const std::vector<std::size_t>& strata) {
  double x = kLeft;
  for (std::size_t i = 0; i < strata.size(); ++i) {
    const auto& who = from.columns()[strata[i]];
    out.box(x, 34, 10, 10, colour(i));
    out.text(x + 14, 43, "start", who.what);
    x += 40 + 6.2 * static_cast<double>(who.what.size());
  }
  out.dot(x + 5, 39);
  out.text(x + 14, 43, "start", "peers");
  out.line(x + 66, 33, 45, "#c00000", 2);
  out.text(x + 73, 43, "start", "target");
}

void draw_scale(drawing& out, double bottom) {
  for (double ratio = kLeast; ratio <= kMost; ratio *= 2) {
    out.line(across(ratio), kTop - 4, bottom, ratio == 1 ? "#000000" : "#dddddd", ratio == 1 ? 1.2 : 1);
    out.text(across(ratio), kTop - 9, "middle",
             ratio < 1 ? absl::StrFormat("1/%.0f", 1 / ratio) : absl::StrFormat("%.0f", ratio));
  }
}

void draw_bar(drawing& out, double ratio, double y, double height, const char* with) {
  const double from = std::min(across(ratio), across(1));
  out.box(from, y, std::max(std::abs(across(ratio) - across(1)), 1.0), height, with);
}

/// What the first of Strata's contenders and the best peer took, in words.
std::string figures_of(const comparison& from, std::size_t row, std::size_t first, std::size_t best) {
  const auto& r = from.rows()[row];
  return absl::StrFormat("%s : %s %s", format_figure(*from.figure(row, first), r.counted_in),
                         format_figure(*from.figure(row, best), r.counted_in), from.columns()[best].name);
}

void draw_row(drawing& out, const comparison& from, std::size_t row, const std::vector<std::size_t>& strata,
              double top) {
  const std::size_t best = *from.best(row);
  const double height = row_height(strata.size()) - kGap;
  out.text(kLeft - 8, top + 9, "end", from.rows()[row].name);
  double y = top;
  for (std::size_t i = 0; i < strata.size(); ++i) {
    const double bar = i == 0 ? kBar : kThinBar;
    if (const auto ratio = from.ratio(row, strata[i])) draw_bar(out, *ratio, y, bar, colour(i));
    y += bar;
  }
  for (std::size_t c = 0; c < from.columns().size(); ++c) {
    const auto ratio = from.ratio(row, c);
    if (from.columns()[c].reference && ratio) out.dot(across(*ratio), top + kBar / 2);
  }
  if (const auto aim = find_target(from.rows()[row].name)) {
    const double limit = aim->of_ratio ? aim->most : aim->most / *from.figure(row, best);
    out.line(across(limit), top - 1, top + height + 1, "#c00000", 2);
  }
  if (!strata.empty() && from.ratio(row, strata[0])) {
    out.text(kLeft + kPlot + 12, top + 9, "start", absl::StrFormat("%.2f", *from.ratio(row, strata[0])),
             "font-weight=\"bold\"");
    out.text(kLeft + kPlot + 48, top + 9, "start", figures_of(from, row, strata[0], best));
  }
}

}  // namespace

std::string svg_chart(const comparison& from, const std::string& caption) {
  const std::vector<std::size_t> strata = ours(from);
  std::vector<std::size_t> rows;
  for (std::size_t r = 0; r < from.rows().size(); ++r) {
    const auto has_ratio = [&](std::size_t c) { return from.ratio(r, c).has_value(); };
    if (std::any_of(strata.begin(), strata.end(), has_ratio)) rows.push_back(r);
  }
  const double bottom = kTop + row_height(strata.size()) * static_cast<double>(rows.size());
  drawing out;
  out.box(0, 0, kLeft + kPlot + kRight, bottom + 30, "#ffffff");
  out.text(kLeft, 20, "start", "Ratio to the best peer that threads may share: left of the line is better",
           "font-size=\"15\" font-weight=\"bold\"");
  draw_legend(out, from, strata);
  draw_scale(out, bottom);
  double top = kTop + kGap / 2;
  for (const std::size_t r : rows) {
    draw_row(out, from, r, strata, top);
    top += row_height(strata.size());
  }
  out.text(kLeft, bottom + 19, "start", caption, "fill=\"#555555\"");
  return absl::StrFormat(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %.0f %.0f\" font-family=\"sans-serif\" "
      "font-size=\"12\">\n"
      "%s</svg>\n",
      kLeft + kPlot + kRight, bottom + 30, out.what());
}

}  // namespace bench
