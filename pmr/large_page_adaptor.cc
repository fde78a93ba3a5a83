// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <cstdio>

module strata.pmr:large_page_adaptor.impl;

import :allocation_error;
import :large_page_adaptor;
import :option_check;

import strata.mem;

namespace strata::pmr {

mem::large_page_steps steps_of(const large_pages& options) noexcept {
  return {.advise = options.advise, .collapse = options.collapse, .look = options.look || options.strict};
}

void refuse_large_pages(const char* layer) {
  option_check("large_pages", layer)
      .refuse("what lies below is ism, which has large pages of its own and takes no advice; leave large_pages{} out");
}

void throw_no_large_pages(const char* layer, std::size_t bytes, std::size_t alignment,
                          const mem::large_page_result& got) {
  if (got.no_memory.failed()) {
    throw allocation_error(layer, bytes, alignment, "there is no memory behind its pages", got.no_memory);
  }
  char reason[160];
  std::snprintf(reason, sizeof reason,
                "of %zu bytes in whole large pages only %zu came in such; free memory, or let strict be false",
                got.asked, got.obtained);
  throw allocation_error(layer, bytes, alignment, reason, got.missing);
}

}  // namespace strata::pmr
