// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <cstddef>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

module bench:comparison.impl;

import :comparison;

namespace bench {
namespace {

constexpr double kNothing = 0.005;  // less than is shown of any figure: a ratio to it says nothing

/// Place of the one of that name.
template <class Named>
std::size_t place(const std::vector<Named>& among, std::string_view name) {
  for (std::size_t i = 0; i < among.size(); ++i) {
    if (among[i].name == name) return i;
  }
  throw std::out_of_range("bench: nothing is called " + std::string(name));
}

}  // namespace

comparison::comparison(std::vector<column> columns, std::vector<row> rows)
    : columns_(std::move(columns)),
      rows_(std::move(rows)),
      samples_(rows_.size(), std::vector<std::vector<double>>(columns_.size())) {}

void comparison::add(std::string_view row, std::string_view column, double figure) {
  samples_[place(rows_, row)][place(columns_, column)].push_back(figure);
}

const std::vector<double>& comparison::samples(std::size_t row, std::size_t column) const {
  return samples_.at(row).at(column);
}

std::optional<double> comparison::figure(std::size_t row, std::size_t column) const {
  std::vector<double> sorted = samples(row, column);
  if (sorted.empty()) return std::nullopt;
  std::sort(sorted.begin(), sorted.end());
  const std::size_t middle = sorted.size() / 2;
  return sorted.size() % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

std::optional<std::size_t> comparison::best(std::size_t row) const {
  std::optional<std::size_t> found;
  for (std::size_t c = 0; c < columns_.size(); ++c) {
    if (!columns_[c].reference || samples(row, c).empty()) continue;
    if (!found || *figure(row, c) < *figure(row, *found)) found = c;
  }
  return found;
}

std::optional<double> comparison::ratio(std::size_t row, std::size_t column, std::string_view to) const {
  const auto named = [&](const auto& each) { return each.name == to; };
  const auto reference = std::find_if(columns_.begin(), columns_.end(), named);
  if (reference == columns_.end()) return std::nullopt;
  const auto own = figure(row, column);
  const auto other = figure(row, static_cast<std::size_t>(reference - columns_.begin()));
  if (!own || !other || *other < kNothing) return std::nullopt;
  return *own / *other;
}

std::optional<double> comparison::ratio(std::size_t row, std::size_t column) const {
  const auto reference = best(row);
  return reference ? ratio(row, column, columns_[*reference].name) : std::nullopt;
}

}  // namespace bench
