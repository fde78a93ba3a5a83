// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <cstddef>
#include <span>
#include <string>

#include "absl/strings/str_format.h"

module bench:balance.impl;

import :balance;

import strata.pmr;

namespace bench {

std::string imbalance(std::span<const strata::pmr::report::row> rows) {
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const char* const name = rows[i].name;
    const strata::pmr::statistics& f = rows[i].figures;
    // Each part for itself too: one that is below zero would make up for the others.
    if (std::max({f.live, f.kept, f.overhead}) > f.upstream || f.live + f.kept + f.overhead != f.upstream) {
      return absl::StrFormat("%s took %u bytes, but %u live, %u kept and %u overhead are not that", name, f.upstream,
                             f.live, f.kept, f.overhead);
    }
    const bool above = i > 0 && rows[i].branch == rows[i - 1].branch;
    if (f.from_second > f.upstream) {
      return absl::StrFormat("%s took %u bytes, but %u from a second upstream", name, f.upstream, f.from_second);
    }
    const std::size_t from_below = f.upstream - f.from_second;
    if (above && from_below != rows[i - 1].figures.live) {
      return absl::StrFormat("%s took %u bytes, but %s below it has handed out %u", name, from_below, rows[i - 1].name,
                             rows[i - 1].figures.live);
    }
  }
  if (!rows.empty() && (rows.back().figures.live != 0 || rows.back().figures.live_blocks != 0)) {
    return absl::StrFormat("everything was given back, but %s says that %u bytes in %u blocks are live",
                           rows.back().name, rows.back().figures.live, rows.back().figures.live_blocks);
  }
  return {};
}

}  // namespace bench
