// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdio>
#include <span>

module strata.pmr:report.impl;

import :report;

import strata.mem;

namespace strata::pmr {

namespace {

// A figure as people read it: "12.3 MiB".
struct readable {
  explicit readable(std::size_t bytes) noexcept {
    static constexpr std::array units{"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    auto figure = static_cast<double>(bytes);
    std::size_t unit = 0;
    for (; figure >= 1024 && unit + 1 < units.size(); ++unit) figure /= 1024;
    std::snprintf(text.data(), text.size(), unit == 0 ? "%.0f %s" : "%.1f %s", figure, units[unit]);
  }
  std::array<char, 24> text{};
};

void write_row(std::FILE* out, const report::row& r) {
  const statistics& s = r.figures;
  const int indent = static_cast<int>(2 * std::min<std::size_t>(r.branch, 4));
  std::fprintf(out, "%*s%-*s %11s %11s %11s %11s %11s %10zu %12zu %9zu\n", indent, "", 14 - indent, r.name,
               readable(s.live).text.data(), readable(s.peak).text.data(), readable(s.kept).text.data(),
               readable(s.overhead).text.data(), readable(s.upstream).text.data(), s.live_blocks, s.allocations,
               s.failures);
}

void write_degraded(std::FILE* out, const report::row& r) {
  for (const degradation& d : std::span(r.degraded).first(r.degradations)) {
    std::fprintf(out, "%s is degraded, %zu times: %s", r.name, d.times, d.reason);
    if (d.cause.failed()) std::fprintf(out, " (%s: %s)", d.cause.call, mem::name_of(d.cause));
    std::fputc('\n', out);
  }
}

}  // namespace

void report::add(const char* name, const statistics& figures, std::span<const degradation> degraded,
                 const void* who) noexcept {
  const auto is_there = [who](const row& r) { return who != nullptr && r.who == who; };
  if (count_ == max_rows || std::ranges::any_of(rows(), is_there)) return;
  row& added = rows_[count_++];
  added.name = name;
  added.figures = figures;
  added.who = who;
  added.branch = branch_;
  added.degradations = std::min(degraded.size(), max_degradations);
  std::copy_n(degraded.begin(), added.degradations, added.degraded.begin());
}

void report::write(std::FILE* out) const {
  std::fprintf(out, "%-14s %11s %11s %11s %11s %11s %10s %12s %9s\n", "layer", "live", "peak", "kept", "overhead",
               "upstream", "blocks", "allocations", "failures");
  for (const row& r : rows()) write_row(out, r);
  for (const row& r : rows()) write_degraded(out, r);
}

}  // namespace strata::pmr
