// SPDX-License-Identifier: Apache-2.0
module;
#include <bit>
#include <cstddef>
#include <stdexcept>
#include <string>

module strata.pmr:slab_resource.impl;

import :slab_resource;

import strata.mem;

namespace strata::pmr {

void require_slab_options(std::size_t largest, std::size_t slab_bytes) {
  constexpr std::size_t most = mem::slab::max_units * mem::unit_bytes;
  if (largest > mem::size_class::largest) {
    throw std::invalid_argument("strata::pmr::slabs: largest is " + std::to_string(largest) + " bytes; blocks above " +
                                std::to_string(mem::size_class::largest) +
                                " always come from upstream, so ask for that at most");
  }
  if (!std::has_single_bit(slab_bytes) || slab_bytes < mem::unit_bytes || slab_bytes > most) {
    throw std::invalid_argument("strata::pmr::slabs: slab_bytes is " + std::to_string(slab_bytes) +
                                "; it has to be a power of two from " + std::to_string(mem::unit_bytes) + " to " +
                                std::to_string(most));
  }
}

}  // namespace strata::pmr
