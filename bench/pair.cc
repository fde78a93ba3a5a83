// SPDX-License-Identifier: Apache-2.0
module;
#include <cstdint>
#include <memory_resource>

module bench:pair.impl;

import :pair;
import :workload;

namespace bench {

void pair_load::run(std::uint64_t operations) {
  for (std::uint64_t i = 0; i < operations; ++i) {
    void* block = memory_->allocate(bytes_, alignment_);
    touch(block, bytes_);
    memory_->deallocate(block, bytes_, alignment_);
  }
}

}  // namespace bench
