// SPDX-License-Identifier: Apache-2.0
module;
#include <cstdint>
#include <stdexcept>
#include <string>

module strata.pmr:option_check.impl;

import :option_check;

namespace strata::pmr {

void option_check::refuse(const std::string& why) const {
  throw std::invalid_argument(std::string("strata::pmr::") + layer_ + " \"" + name_ + "\": " + why);
}

void option_check::refuse(const char* option, std::uint64_t value, const std::string& remedy) const {
  refuse(std::string(option) + " is " + std::to_string(value) + "; " + remedy);
}

void option_check::refuse(const char* option, std::uint64_t value, const char* kind, std::uint64_t least,
                          std::uint64_t most) const {
  std::string range = std::to_string(least);
  if (most == any) {
    range += " at least";
  } else if (least == 0) {
    range = std::to_string(most) + " at most";
  } else {
    range += " to " + std::to_string(most);
  }
  refuse(option, value, std::string("it has to be ") + kind + range);
}

}  // namespace strata::pmr
