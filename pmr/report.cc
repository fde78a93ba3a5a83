// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdio>
#include <optional>
#include <span>
#include <utility>

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

void write_attribution(std::FILE* out, const attribution& a) {
  std::fprintf(out, "requested %s, handed out %s, carved %s, mapped %s, resident %s\n",
               readable(a.requested).text.data(), readable(a.handed_out).text.data(), readable(a.carved).text.data(),
               readable(a.mapped).text.data(), a.resident.has_value() ? readable(*a.resident).text.data() : "unknown");
}

// Figures read while others work may contradict one another.
std::size_t less(std::size_t whole, std::size_t part) noexcept { return whole - std::min(whole, part); }

std::size_t from_first(const statistics& s) noexcept { return less(s.upstream, s.from_second); }

}  // namespace

void report::add(const char* name, const statistics& figures, std::span<const degradation> degraded, const void* who,
                 std::optional<std::size_t> resident) noexcept {
  const std::size_t first = std::exchange(first_, no_row);
  const std::size_t second = std::exchange(second_, no_row);
  const auto is_there = [who](const row& r) { return who != nullptr && r.who == who; };
  if (const auto found = std::ranges::find_if(rows(), is_there); found != rows().end()) {
    latest_ = static_cast<std::size_t>(found - rows().begin());
    return;
  }
  if (count_ == max_rows) {
    latest_ = no_row;
    ++dropped_;
    return;
  }
  latest_ = count_;
  row& added = rows_[count_++];
  added.first = first;
  added.second = second;
  added.resident = resident;
  added.name = name;
  added.figures = figures;
  added.who = who;
  added.branch = branch_;
  added.degradations = std::min(degraded.size(), max_degradations);
  std::copy_n(degraded.begin(), added.degradations, added.degraded.begin());
}

std::size_t report::handed_out(const row& r) const noexcept {
  const auto index = static_cast<std::size_t>(&r - rows_.data());
  std::size_t left = r.figures.live;
  for (const row& upper : rows()) {
    if (upper.first == index) left = less(left, from_first(upper.figures));
    if (upper.second == index) left = less(left, upper.figures.from_second);
  }
  return left;
}

std::size_t report::taken_from_outside(const row& r) noexcept {
  return (r.first == no_row ? from_first(r.figures) : 0) + (r.second == no_row ? r.figures.from_second : 0);
}

attribution report::attribute() const noexcept {
  std::size_t requested = 0;
  std::size_t kept = 0;
  std::size_t overhead = 0;
  std::size_t of_sources = 0;
  std::size_t resident = 0;
  bool all_tell = !rows().empty();
  for (const row& r : rows()) {
    const statistics& s = r.figures;
    requested += handed_out(r);
    if (r.first == no_row) {
      of_sources += s.kept + s.overhead;
    } else {
      kept += s.kept;
      overhead += s.overhead;
    }
    if (taken_from_outside(r) == 0) continue;
    all_tell = all_tell && r.resident.has_value();
    resident += r.resident.value_or(0);
  }
  attribution found{.requested = requested, .handed_out = requested + overhead};
  found.carved = found.handed_out + kept;
  found.mapped = found.carved + of_sources;
  if (all_tell) found.resident = resident;
  return found;
}

void report::write(std::FILE* out) const {
  std::fprintf(out, "%-14s %11s %11s %11s %11s %11s %10s %12s %9s\n", "layer", "live", "peak", "kept", "overhead",
               "upstream", "blocks", "allocations", "failures");
  for (const row& r : rows()) write_row(out, r);
  if (dropped_ != 0) std::fprintf(out, "and %zu layers more, which did not fit\n", dropped_);
  if (!rows().empty()) write_attribution(out, attribute());
  for (const row& r : rows()) write_degraded(out, r);
}

}  // namespace strata::pmr
