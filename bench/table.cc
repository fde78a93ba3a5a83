// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "absl/strings/str_format.h"

module bench:table.impl;

import :comparison;
import :table;
import :targets;
import :unit;

namespace bench {
namespace {

/// Figure and ratio in 17 characters.
std::string place(const comparison& from, std::size_t row, std::size_t column) {
  const auto figure = from.figure(row, column);
  if (!figure) return absl::StrFormat("%17s", "-");
  const auto ratio = from.ratio(row, column);
  return absl::StrFormat("%10s%7s", format_figure(*figure, from.rows()[row].counted_in),
                         ratio ? absl::StrFormat("%.2f", *ratio) : "-");
}

std::string verdict(const comparison& from, std::size_t row, std::size_t column, const target& aim) {
  const auto reached = aim.of_ratio ? from.ratio(row, column) : from.figure(row, column);
  if (!reached) return "";
  return *reached <= aim.most ? "met" : "missed";
}

bool measured(const comparison& from, std::size_t row) {
  for (std::size_t c = 0; c < from.columns().size(); ++c) {
    if (from.figure(row, c)) return true;
  }
  return false;
}

/// What `who` was to reach in that row, and whether it has: in each of its goals.
std::string judgement(const comparison& from, std::size_t row, std::size_t column, std::span<const goal> goals) {
  std::string out;
  for (const goal& each : goals) {
    if (from.rows()[row].name != each.row || from.columns()[column].name != each.contender) continue;
    const auto reached = from.ratio(row, column, each.reference);
    if (!reached) continue;
    absl::StrAppendFormat(&out, "  %.2f of %s: %s", each.most, each.reference,
                          *reached <= each.most ? "met" : "missed");
  }
  return out;
}

std::string row_head(const comparison::row& r) { return absl::StrFormat("%-16s%-7s", r.name, name_of(r.counted_in)); }

}  // namespace

std::string summary_table(const comparison& from, std::string_view judged) {
  const auto& columns = from.columns();
  std::string out = absl::StrFormat("%-23s%-26s", "", "  best peer");
  for (const auto& c : columns) {
    if (c.peer) continue;
    absl::StrAppendFormat(&out, "%17s", c.name);
    if (c.name == judged) absl::StrAppendFormat(&out, "%15s", "target");
  }
  for (std::size_t r = 0; r < from.rows().size(); ++r) {
    if (!measured(from, r)) continue;
    const auto& row = from.rows()[r];
    absl::StrAppendFormat(&out, "\n%s", row_head(row));
    const auto best = from.best(r);
    absl::StrAppendFormat(&out, "%10s %-15s", best ? format_figure(*from.figure(r, *best), row.counted_in) : "-",
                          best ? columns[*best].name : "");
    for (std::size_t c = 0; c < columns.size(); ++c) {
      if (columns[c].peer) continue;
      out += place(from, r, c);
      if (columns[c].name != judged) continue;
      const auto aim = find_target(row.name);
      const std::string limit = !aim            ? std::string()
                                : aim->of_ratio ? absl::StrFormat("x %.2f", aim->most)
                                                : absl::StrFormat("%.2f", aim->most);
      absl::StrAppendFormat(&out, "%8s %-6s", limit, aim ? verdict(from, r, c, *aim) : "");
    }
  }
  return out + "\n";
}

std::string peer_table(const comparison& from) {
  std::string out(23, ' ');
  for (const auto& c : from.columns()) {
    if (c.peer) absl::StrAppendFormat(&out, "%17s", c.name);
  }
  for (std::size_t r = 0; r < from.rows().size(); ++r) {
    if (!measured(from, r)) continue;
    absl::StrAppendFormat(&out, "\n%s", row_head(from.rows()[r]));
    for (std::size_t c = 0; c < from.columns().size(); ++c) {
      if (from.columns()[c].peer) out += place(from, r, c);
    }
  }
  return out + "\n";
}

std::string reference_table(const comparison& from, std::span<const std::string_view> references,
                            std::span<const goal> goals) {
  std::string out = absl::StrFormat("%-23s%-16s%10s", "", "", "");
  for (const std::string_view to : references) absl::StrAppendFormat(&out, "%12s", "/ " + std::string(to));
  out += "  at most";
  for (std::size_t r = 0; r < from.rows().size(); ++r) {
    std::string head = row_head(from.rows()[r]);
    for (std::size_t c = 0; c < from.columns().size(); ++c) {
      const auto figure = from.figure(r, c);
      if (!figure) continue;
      absl::StrAppendFormat(&out, "\n%-23s%-16s%10s", head, from.columns()[c].name,
                            format_figure(*figure, from.rows()[r].counted_in));
      head.clear();
      for (const std::string_view to : references) {
        const auto ratio = from.ratio(r, c, to);
        absl::StrAppendFormat(&out, "%12s", ratio ? absl::StrFormat("%.2f", *ratio) : "-");
      }
      out += judgement(from, r, c, goals);
    }
  }
  return out + "\n";
}

}  // namespace bench
