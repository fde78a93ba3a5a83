// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>

module strata.pmr:debug_options.impl;

import :call_stack;
import :debug_options;
import :option_check;

namespace strata::pmr {

void check_debug(const debug& options) {
  const option_check check("debug", options.name);
  check.within(1, std::size_t{1} << 20, "pad", options.pad);
  check.within(0, max_stack_depth, "stack_depth", options.stack_depth);
  check.within(0, max_stack_depth, "log_depth", options.log_depth);
  check.require(options.max_blocks != 0, "max_blocks", 0, "a memory without blocks serves nobody");
  check.require((options.when_misused == on_misuse::call) == (options.handler != nullptr),
                "handler and on_misuse::call belong together; give both or neither");
}

}  // namespace strata::pmr
