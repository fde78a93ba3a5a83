// SPDX-License-Identifier: Apache-2.0
module;
#include <bit>
#include <cstddef>
#include <span>
#include <stdexcept>

module strata.pmr:fragment_options.impl;

import :fragment_options;

import strata.mem;

namespace strata::pmr {

namespace {

void require(bool holds, const char* sentence) {
  if (!holds) throw std::invalid_argument(sentence);
}

}  // namespace

void fragments::validate() const {
  require(std::has_single_bit(fragment_bytes) && fragment_bytes >= 16,
          "strata: fragment_bytes must be a power of two, at least 16");
  require(std::has_single_bit(page_bytes) && page_bytes >= fragment_bytes && page_bytes >= alignof(mem::fragment_map),
          "strata: page_bytes must be a power of two, at least 128 and at least a fragment");
  require(region_bytes != 0 && region_bytes % page_bytes == 0,
          "strata: region_bytes must be whole pages, one at least");
  require(region_bytes / fragment_bytes <= mem::fragment_map::max_count,
          "strata: a region has at most 2^30 fragments; make fragments larger");
  require(max_regions >= 1 && max_regions <= mem::fragment_store::max_regions,
          "strata: max_regions must be from 1 to 64");
  require(reserve_bytes == 0 || max_regions == 1, "strata: a reserve is one of a fixed region: set max_regions to 1");
  require(reserve_bytes <= region_bytes, "strata: reserve_bytes must not be more than the region");
}

std::byte* fragments::align_own(std::span<std::byte> memory, std::size_t& rest) const noexcept {
  const std::size_t gap = mem::round_up(mem::address(memory.data()), page_bytes) - mem::address(memory.data());
  rest = gap < memory.size() ? memory.size() - gap : 0;
  return memory.data() + gap;
}

}  // namespace strata::pmr
