// SPDX-License-Identifier: Apache-2.0
module;

module strata.pmr:tracking_options.impl;

import :call_stack;
import :option_check;
import :tracking_options;

namespace strata::pmr {

void check_tracking(const tracking& options) {
  option_check("tracking", options.name).within(0, max_stack_depth, "stack_depth", options.stack_depth);
}

}  // namespace strata::pmr
