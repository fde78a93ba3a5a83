// SPDX-License-Identifier: Apache-2.0
module strata.pmr:block_origins.impl;

import :block_origins;

namespace strata::pmr {

const char* describe(origin from) noexcept {
  switch (from) {
    case origin::none:
      return "the block is of neither upstream";
    case origin::other_size:
      return "a block of the second upstream comes back with another size than it has";
    case origin::first:
    case origin::second:
      break;
  }
  return nullptr;
}

}  // namespace strata::pmr
