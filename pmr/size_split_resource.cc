// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>

module strata.pmr:size_split_resource.impl;

import :option_check;
import :size_split_resource;

namespace strata::pmr {

void check_size_split(const char* name, const void* large, std::size_t largest_small_alignment) {
  const option_check check("size_split", name);
  check.require(large != nullptr, "large is null; say who serves what is not small");
  check.power_of_two(1, option_check::any, "largest_small_alignment", largest_small_alignment);
}

}  // namespace strata::pmr
