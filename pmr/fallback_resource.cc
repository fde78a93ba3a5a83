// SPDX-License-Identifier: Apache-2.0
module;
#include <memory_resource>
#include <new>

module strata.pmr:fallback_resource.impl;

import :allocation_error;
import :fallback_resource;
import :option_check;

import strata.mem;

namespace strata::pmr {

void check_fallback(const char* name, const std::pmr::memory_resource* first, const std::pmr::memory_resource* second) {
  const option_check check("fallback", name);
  check.require(second != nullptr, "second is null; say who serves what the first upstream refuses");
  check.require(first != second, "both upstreams are the same; asking again helps nobody");
}

mem::os_error cause_of(const std::bad_alloc& refused) noexcept {
  const auto* const known = dynamic_cast<const allocation_error*>(&refused);
  return known == nullptr ? mem::os_error{} : mem::os_error{known->os_call(), known->os_code()};
}

}  // namespace strata::pmr
