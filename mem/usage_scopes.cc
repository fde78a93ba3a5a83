// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <cstddef>

module strata.mem:usage_scopes.impl;

import :sampling_meter;
import :usage_scopes;

namespace strata::mem {

void usage_scopes::push(const metered& now) noexcept {
  note(now.live());
  scopes_[++depth_] = {.start = now, .peak = now.live()};
}

scope_usage usage_scopes::pop(const metered& now) noexcept {
  note(now.live());
  const scope ended = scopes_[depth_--];
  note(ended.peak);
  const metered& start = ended.start;
  return {.allocations = now.allocations - start.allocations,
          .deallocations = now.deallocations - start.deallocations,
          .allocated = now.handed_out - start.handed_out,
          .deallocated = now.taken_back - start.taken_back,
          .live_blocks = static_cast<std::ptrdiff_t>(now.blocks()) - static_cast<std::ptrdiff_t>(start.blocks()),
          .live = static_cast<std::ptrdiff_t>(now.live()) - static_cast<std::ptrdiff_t>(start.live()),
          .peak = ended.peak,
          .peak_above_start = ended.peak - start.live()};
}

std::size_t usage_scopes::peak() const noexcept {
  std::size_t highest = 0;
  for (std::size_t i = 0; i <= depth_; ++i) highest = std::max(highest, scopes_[i].peak);
  return highest;
}

}  // namespace strata::mem
