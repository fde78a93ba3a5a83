// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <array>
#include <cstddef>
#include <span>

module strata.pmr:machine.impl;

import :machine;

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

}  // namespace strata::pmr
