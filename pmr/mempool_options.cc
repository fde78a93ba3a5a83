// SPDX-License-Identifier: Apache-2.0
module;
#include <bit>
#include <cstddef>
#include <stdexcept>

module strata.pmr:mempool_options.impl;

import :mempool_options;

import :fragment_options;

namespace strata::pmr {

namespace {

void require(bool holds, const char* sentence) {
  if (!holds) throw std::invalid_argument(sentence);
}

}  // namespace

fragments mempool::valid_fragments() const {
  require(heap_largest <= page_bytes / 16, "strata: heap_largest must be at most a sixteenth of a page");
  require(std::has_single_bit(heaps) && heaps <= 16, "strata: heaps must be a power of two, at most 16");
  return {.name = "fragments",
          .fragment_bytes = fragment_bytes,
          .page_bytes = page_bytes,
          .region_bytes = segment_bytes,
          .reserve_bytes = reserve_bytes,
          .prefault = true,
          .when_exhausted = when_exhausted};
}

}  // namespace strata::pmr
