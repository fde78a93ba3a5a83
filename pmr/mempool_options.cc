// SPDX-License-Identifier: Apache-2.0
module;

module strata.pmr:mempool_options.impl;

import :mempool_options;

import :fragment_options;
import :option_check;

namespace strata::pmr {

fragments mempool::valid_fragments() const {
  const option_check check("mempool", name);
  check.require(heap_largest <= page_bytes / 16, "heap_largest", heap_largest,
                "it has to be at most a sixteenth of a page");
  check.power_of_two(1, 16, "heaps", heaps);
  return {.name = "fragments",
          .fragment_bytes = fragment_bytes,
          .page_bytes = page_bytes,
          .region_bytes = segment_bytes,
          .reserve_bytes = reserve_bytes,
          .prefault = true,
          .when_exhausted = when_exhausted};
}

}  // namespace strata::pmr
