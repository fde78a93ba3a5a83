// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <cstdint>

module strata.pmr:shadow_options.impl;

import :call_stack;
import :option_check;
import :shadow_options;

import strata.mem;

namespace strata::pmr {

void check_shadow(const shadow& options) {
  const option_check check("shadow", options.name);
  check.require(options.one_in != 0, "one_in", 0, "1 shadows every block, n one in n");
  check.within(0, max_stack_depth, "stack_depth", options.stack_depth);
  check.require(options.guards != shadow_guards::batched || options.batch_blocks != 0, "batch_blocks", 0,
                "a batch has a block at least");
  check.require(options.reuse != shadow_reuse::quarantine || options.hold_bytes != 0 || options.hold_ms != 0,
                "a quarantine without end: set hold_bytes or hold_ms, or take shadow_reuse::never");
}

mem::shadow_plan plan_of(const shadow& options) noexcept {
  constexpr std::uint64_t kNanoseconds = 1'000'000;
  mem::shadow_hold hold{.bytes = options.hold_bytes, .nanoseconds = options.hold_ms * kNanoseconds};
  switch (options.reuse) {
    case shadow_reuse::at_destruction:
      hold.reuse = mem::shadow_reuse::at_end;
      break;
    case shadow_reuse::quarantine:
      hold.reuse = mem::shadow_reuse::quarantine;
      break;
    case shadow_reuse::never:
      hold.reuse = mem::shadow_reuse::never;
      break;
  }
  return {.name = options.name,
          .max_mappings = options.max_mappings,
          .max_address_bytes = options.max_address_bytes,
          .max_memory_bytes = options.max_bytes,
          .batch_blocks = options.guards == shadow_guards::batched ? options.batch_blocks : 1,
          .batch_bytes = options.batch_bytes,
          .batch_nanoseconds = options.batch_ms * kNanoseconds,
          .hold = hold,
          .decay = mem::decay_period(options.decay_ms),
          .copy_at_fork = options.copy_at_fork};
}

}  // namespace strata::pmr
