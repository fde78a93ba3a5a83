// SPDX-License-Identifier: Apache-2.0
module;
#include <bit>
#include <cstddef>
#include <stdexcept>
#include <string>

module strata.pmr:size_split_resource.impl;

import :size_split_resource;

namespace strata::pmr {

void check_size_split(const char* name, const void* large, std::size_t largest_small_alignment) {
  const auto refuse = [name](const std::string& why) {
    throw std::invalid_argument(std::string("strata::pmr::size_split \"") + name + "\": " + why);
  };
  if (large == nullptr) refuse("large is null; say who serves what is not small");
  if (!std::has_single_bit(largest_small_alignment)) {
    refuse("largest_small_alignment is " + std::to_string(largest_small_alignment) + "; it has to be a power of two");
  }
}

}  // namespace strata::pmr
