// SPDX-License-Identifier: Apache-2.0
module;
#include <memory_resource>
#include <new>
#include <stdexcept>
#include <string>

module strata.pmr:fallback_resource.impl;

import :allocation_error;
import :fallback_resource;

import strata.mem;

namespace strata::pmr {

void check_fallback(const char* name, const std::pmr::memory_resource* first, const std::pmr::memory_resource* second) {
  const auto refuse = [name](const char* why) {
    throw std::invalid_argument(std::string("strata::pmr::fallback \"") + name + "\": " + why);
  };
  if (second == nullptr) refuse("second is null; say who serves what the first upstream refuses");
  if (first == second) refuse("both upstreams are the same; asking again helps nobody");
}

mem::os_error cause_of(const std::bad_alloc& refused) noexcept {
  const auto* const known = dynamic_cast<const allocation_error*>(&refused);
  return known == nullptr ? mem::os_error{} : mem::os_error{known->os_call(), known->os_code()};
}

}  // namespace strata::pmr
