// SPDX-License-Identifier: Apache-2.0
module;
#include <stdexcept>
#include <string>

module strata.pmr:tracking_options.impl;

import :call_stack;
import :tracking_options;

namespace strata::pmr {

void check_tracking(const tracking& options) {
  const auto refuse = [&options](const std::string& why) {
    throw std::invalid_argument(std::string("strata::pmr::tracking \"") + options.name + "\": " + why);
  };
  if (options.stack_depth > max_stack_depth) {
    refuse("stack_depth is " + std::to_string(options.stack_depth) + "; at most " + std::to_string(max_stack_depth) +
           " frames are kept");
  }
}

}  // namespace strata::pmr
