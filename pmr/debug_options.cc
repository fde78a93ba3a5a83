// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <stdexcept>
#include <string>

module strata.pmr:debug_options.impl;

import :call_stack;
import :debug_options;

namespace strata::pmr {

void check_debug(const debug& options) {
  const auto refuse = [&options](const std::string& why) {
    throw std::invalid_argument(std::string("strata::pmr::debug \"") + options.name + "\": " + why);
  };
  constexpr std::size_t most = std::size_t{1} << 20;
  if (options.pad == 0 || options.pad > most) {
    refuse("pad is " + std::to_string(options.pad) + "; it has to be 1 to " + std::to_string(most) + " bytes");
  }
  if (options.stack_depth > max_stack_depth || options.log_depth > max_stack_depth) {
    refuse("a stack of more than " + std::to_string(max_stack_depth) + " frames is asked for");
  }
  if (options.max_blocks == 0) refuse("max_blocks is 0; a memory without blocks serves nobody");
  if ((options.when_misused == on_misuse::call) != (options.handler != nullptr)) {
    refuse("handler and on_misuse::call belong together; give both or neither");
  }
}

}  // namespace strata::pmr
