// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"

module bench:ratio_table.impl;

import :ratio_table;

namespace bench {
namespace {

/// The middle figure, NaN when there is none.
double median(std::vector<double> figures) {
  if (figures.empty()) return std::numeric_limits<double>::quiet_NaN();
  const auto middle = figures.begin() + static_cast<std::ptrdiff_t>(figures.size() / 2);
  std::nth_element(figures.begin(), middle, figures.end());
  return *middle;
}

}  // namespace

ratio_table::ratio_table(std::vector<column> columns, const std::vector<std::string>& rows)
    : columns_(std::move(columns)) {
  for (const std::string& name : rows) rows_.push_back({name, std::vector<std::vector<double>>(columns_.size())});
}

void ratio_table::add(const std::string& row_name, const std::string& column_name, double figure) {
  const auto at = std::find_if(rows_.begin(), rows_.end(), [&](const row& r) { return r.name == row_name; });
  const auto where =
      std::find_if(columns_.begin(), columns_.end(), [&](const column& c) { return c.name == column_name; });
  at->figures.at(static_cast<std::size_t>(where - columns_.begin())).push_back(figure);
}

std::string ratio_table::text(const std::string& title, int decimals) const {
  std::string out = absl::StrFormat("%-24s", title);
  for (const column& c : columns_) absl::StrAppendFormat(&out, " %16s", c.name);
  out += '\n';
  for (const row& r : rows_) {
    std::vector<double> medians;
    double best = std::numeric_limits<double>::infinity();
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      medians.push_back(median(r.figures[i]));
      if (columns_[i].reference && medians[i] < best) best = medians[i];
    }
    if (std::all_of(medians.begin(), medians.end(), [](double m) { return std::isnan(m); })) continue;
    absl::StrAppendFormat(&out, "%-24s", r.name);
    for (const double figure : medians) {
      if (std::isnan(figure)) {
        absl::StrAppendFormat(&out, " %16s", "-");
      } else if (std::isinf(best)) {
        absl::StrAppendFormat(&out, " %9.*f %6s", decimals, figure, "-");
      } else {
        absl::StrAppendFormat(&out, " %9.*f %6.2f", decimals, figure, figure / best);
      }
    }
    out += '\n';
  }
  return out;
}

}  // namespace bench
