// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdio>
#include <span>

module strata.pmr:large_page_adaptor.impl;

import :allocation_error;
import :large_page_adaptor;

import strata.mem;

namespace strata::pmr {

std::size_t large_page_bytes() noexcept { return mem::large_page_bytes(); }

std::size_t page_sizes(std::span<std::size_t> out) noexcept { return mem::page_sizes(out); }

// Page sizes are powers of two: there are no more than bits.
std::size_t largest_page() noexcept {
  std::array<std::size_t, 64> sizes{};
  const std::size_t count = page_sizes(sizes);
  return sizes[std::min(count, sizes.size()) - 1];
}

mem::large_page_steps steps_of(const large_pages& options) noexcept {
  return {.advise = options.advise, .collapse = options.collapse, .look = options.look || options.strict};
}

void throw_no_large_pages(const char* layer, std::size_t bytes, std::size_t alignment,
                          const mem::large_page_result& got) {
  if (got.no_memory.failed()) {
    throw allocation_error(layer, bytes, alignment, "there is no memory behind its pages", got.no_memory);
  }
  char reason[160];
  std::snprintf(reason, sizeof reason,
                "of %zu bytes in whole large pages only %zu came in such; free memory, or let strict be false", got.asked,
                got.obtained);
  throw allocation_error(layer, bytes, alignment, reason, got.missing);
}

}  // namespace strata::pmr
