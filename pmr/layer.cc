// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdio>
#include <memory_resource>
#include <optional>
#include <span>
#include <string_view>

module strata.pmr:layer.impl;

import :exposition;
import :layer;
import :misuse;
import :report;
import :text_sink;

namespace strata::pmr {

fault layer::check() const noexcept {
  for (const loan* each : {&upstream_, &second_upstream_}) {
    if (each->below() == nullptr) continue;
    if (const fault found = each->below()->check(); found.found()) return found;
  }
  return {};
}

std::size_t layer::degraded(std::span<degradation> /*out*/) const noexcept { return 0; }

std::optional<std::size_t> layer::resident() const noexcept { return std::nullopt; }

void layer::collect(report& into) const noexcept {
  collect_below(into);
  add_to(into, stats());
}

void layer::collect_below(report& into) const noexcept {
  std::size_t first = report::no_row;
  std::size_t second = report::no_row;
  if (upstream_.below() != nullptr) {
    upstream_.below()->collect(into);
    first = into.latest();
  }
  if (second_upstream_.below() != nullptr && into.wanted() == report::reach::all) {
    const report::second_upstream lower(into);
    second_upstream_.below()->collect(into);
    second = into.latest();
  }
  into.stand_on(first, second);
}

void layer::add_to(report& into, const statistics& figures) const noexcept {
  std::array<degradation, report::max_degradations> states{};
  const std::size_t count = std::min(degraded(states), states.size());
  // Asked for in whole reports alone: it takes time, and those of first upstreams are for figures.
  const bool whole = into.wanted() == report::reach::all;
  into.add(name_, figures, std::span(states).first(count), this, whole ? resident() : std::nullopt);
}

void layer::write_report(std::FILE* out) const {
  report collected;
  collect(collected);
  collected.write(out);
}

void layer::write_json(const text_sink& out, std::string_view resource) const {
  report collected;
  collect(collected);
  pmr::write_json({resource.empty() ? name() : resource, &collected}, out);
}

void layer::write_prometheus(const text_sink& out, std::string_view resource) const {
  report collected;
  collect(collected);
  const exposed one{resource.empty() ? name() : resource, &collected};
  pmr::write_prometheus({&one, 1}, out);
}

layer::layer(const char* name, std::pmr::memory_resource* upstream, std::pmr::memory_resource* second) noexcept
    : name_(name), upstream_(upstream), second_upstream_(second) {}

layer::~layer() {
  if (borrowers_.load(std::memory_order_relaxed) != 0) {
    report_misuse(
        {.layer = name_, .sentence = "destroyed while another layer still borrows it: destroy the upper one first"});
  }
}

layer::loan::loan(std::pmr::memory_resource* from) noexcept : from_(from), below_(dynamic_cast<layer*>(from)) {
  if (below_ != nullptr) below_->borrowers_.fetch_add(1, std::memory_order_relaxed);
}

layer::loan::~loan() {
  if (below_ != nullptr) below_->borrowers_.fetch_sub(1, std::memory_order_relaxed);
}

}  // namespace strata::pmr
