// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"

module index_headers:table.impl;

import :measurement;
import :memories;
import :table;

namespace index_headers {
namespace {

std::uint64_t median_of(const row& of, std::uint64_t (*figure)(const measurement&)) {
  std::vector<std::uint64_t> values;
  for (const measurement& m : of.timed) values.push_back(figure(m));
  return median(std::move(values));
}

double ratio(std::uint64_t value, std::uint64_t base) {
  return base == 0 ? 0.0 : static_cast<double>(value) / static_cast<double>(base);
}

double mebibytes(std::uint64_t bytes) { return static_cast<double>(bytes) / (1 << 20); }

double seconds(std::uint64_t ns) { return static_cast<double>(ns) / 1e9; }

}  // namespace

std::uint64_t median(std::vector<std::uint64_t> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>((values.size() - 1) / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

std::string grouped(std::uint64_t number) {
  std::string digits = std::to_string(number);
  for (std::size_t at = digits.size(); at > 3;) digits.insert(at -= 3, ",");
  return digits;
}

std::string table(const comparison& all) {
  const auto total = [](const measurement& m) { return m.build_ns + m.destroy_ns; };
  const auto build = [](const measurement& m) { return m.build_ns; };
  const auto destroy = [](const measurement& m) { return m.destroy_ns; };
  const auto peak = [](const measurement& m) { return m.peak_bytes; };
  const row& base = all.rows.front();

  std::string text = absl::StrFormat("%-18s %8s %10s %8s %6s %10s %6s %13s\n", "memory", "build s", "destroy s",
                                     "time s", "ratio", "peak MiB", "ratio", "allocations");
  for (const row& r : all.rows) {
    const std::uint64_t time = median_of(r, total);
    const std::uint64_t resident = median_of(r, peak);
    absl::StrAppendFormat(&text, "%-18s %8.3f %10.3f %8.3f %6.2f %10.1f %6.2f %13s\n", r.where->name,
                          seconds(median_of(r, build)), seconds(median_of(r, destroy)), seconds(time),
                          ratio(time, median_of(base, total)), mebibytes(resident),
                          ratio(resident, median_of(base, peak)), grouped(all.counted.allocations));
  }
  return text;
}

}  // namespace index_headers
