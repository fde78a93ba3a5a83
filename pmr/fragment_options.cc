// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <cstddef>
#include <span>

module strata.pmr:fragment_options.impl;

import :fragment_options;
import :option_check;

import strata.mem;

namespace strata::pmr {

void fragments::validate() const {
  const option_check check("fragments", name);
  check.power_of_two(16, option_check::any, "fragment_bytes", fragment_bytes);
  check.power_of_two(std::max(alignof(mem::fragment_map), fragment_bytes), option_check::any, "page_bytes", page_bytes);
  check.require(region_bytes != 0 && region_bytes % page_bytes == 0, "region_bytes", region_bytes,
                "it has to be whole pages, one at least");
  check.require(region_bytes / fragment_bytes <= mem::fragment_map::max_count, "region_bytes", region_bytes,
                "a region has at most 2^30 fragments; make fragments larger");
  check.within(1, mem::fragment_store::max_regions, "max_regions", max_regions);
  check.require(reserve_bytes == 0 || max_regions == 1, "max_regions", max_regions,
                "a reserve is one of a fixed region; it has to be 1");
  check.within(0, region_bytes, "reserve_bytes", reserve_bytes);
}

std::byte* fragments::align_own(std::span<std::byte> memory, std::size_t& rest) const noexcept {
  const std::size_t gap = mem::round_up(mem::address(memory.data()), page_bytes) - mem::address(memory.data());
  rest = gap < memory.size() ? memory.size() - gap : 0;
  return memory.data() + gap;
}

}  // namespace strata::pmr
