// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>

module strata.pmr:slab_resource.impl;

import :option_check;
import :slab_resource;

import strata.mem;

namespace strata::pmr {

void require_slab_options(const char* name, std::size_t largest, std::size_t slab_bytes) {
  const option_check check("slabs", name);
  check.within(0, mem::size_class::largest, "largest", largest);
  check.power_of_two(mem::unit_bytes, mem::slab::max_units * mem::unit_bytes, "slab_bytes", slab_bytes);
}

}  // namespace strata::pmr
