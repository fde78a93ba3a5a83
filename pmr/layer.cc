// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdio>
#include <memory_resource>
#include <span>

module strata.pmr:layer.impl;

import :layer;
import :misuse;
import :report;

namespace strata::pmr {

fault layer::check() const noexcept {
  for (const loan* each : {&upstream_, &second_upstream_}) {
    if (each->below() == nullptr) continue;
    if (const fault found = each->below()->check(); found.found()) return found;
  }
  return {};
}

std::size_t layer::degraded(std::span<degradation> /*out*/) const noexcept { return 0; }

void layer::collect(report& into) const noexcept {
  collect_below(into);
  add_to(into, stats());
}

void layer::collect_below(report& into) const noexcept {
  if (upstream_.below() != nullptr) upstream_.below()->collect(into);
  if (second_upstream_.below() != nullptr && into.wanted() == report::reach::all) {
    const report::second_upstream lower(into);
    second_upstream_.below()->collect(into);
  }
}

void layer::add_to(report& into, const statistics& figures) const noexcept {
  std::array<degradation, report::max_degradations> states{};
  const std::size_t count = std::min(degraded(states), states.size());
  into.add(name_, figures, std::span(states).first(count), this);
}

void layer::write_report(std::FILE* out) const {
  report collected;
  collect(collected);
  collected.write(out);
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
