// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <cstdio>
#include <string>

module strata.pmr:limit_adaptor.impl;

import :allocation_error;
import :limit_adaptor;
import :option_check;

import strata.mem;

namespace strata::pmr {

namespace {

// Innermost callback the thread is in; they lie on its stack.
constinit thread_local const relief* innermost = nullptr;

}  // namespace

relief::relief(const void* who) noexcept : who_(who), outer_(innermost) { innermost = this; }
relief::~relief() { innermost = outer_; }

bool relief::is_under_way(const void* who) noexcept {
  for (const relief* r = innermost; r != nullptr; r = r->outer_) {
    if (r->who_ == who) return true;
  }
  return false;
}

mem::budget_plan budget_of(const limit& options) {
  const option_check check("limit", options.name);
  if (!(options.share >= 0 && options.share <= 1)) {
    check.refuse("share is " + std::to_string(options.share) +
                 "; it has to be above 0, up to 1, or 0 for a limit in bytes alone");
  }
  check.require(options.bytes != 0 || options.share != 0,
                "neither bytes nor share is given; a budget of nothing serves nobody");
  check.require(options.bytes != 0 || mem::measure_headroom().in_time != 0,
                "how much memory is available is not known here; give a limit in bytes");
  return {.bytes = options.bytes, .share = options.share};
}

mem::budget_plan budget_of(const relieved_limit& options) {
  option_check("relieved_limit", options.name)
      .require(options.when_short != nullptr, "when_short is null; say who is asked, or take limit{}");
  return budget_of(limit{.name = options.name, .bytes = options.bytes, .share = options.share});
}

void throw_over_budget(mem::refusal why, const shortage& what) {
  char reason[160];
  if (why == mem::refusal::not_yet) {
    std::snprintf(reason, sizeof reason,
                  "%zu of %zu bytes are live, and the file system's cache has not given the rest back yet; try again "
                  "later, or limit that cache",
                  what.live, what.limit);
  } else {
    std::snprintf(reason, sizeof reason, "%zu of %zu bytes are live; free some, or raise the limit", what.live,
                  what.limit);
  }
  throw allocation_error(what.layer, what.bytes, what.alignment, reason);
}

}  // namespace strata::pmr
