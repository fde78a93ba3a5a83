// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <cstdint>
#include <memory_resource>
#include <vector>

module bench:churn.impl;

import :churn;
import :random;
import :workload;

namespace bench {

churn_load::churn_load(std::pmr::memory_resource* memory, std::size_t live, std::size_t least, std::size_t most)
    : memory_(opaque(memory)), sizes_(least, most), blocks_(live) {
  for (block& b : blocks_) b = allocate();
}

churn_load::~churn_load() {
  for (const block& b : blocks_) memory_->deallocate(b.at, b.bytes, any_size_alignment);
}

void churn_load::run(std::uint64_t operations) {
  for (std::uint64_t i = 0; i < operations; ++i) {
    block& chosen = blocks_[random_.below(blocks_.size())];
    memory_->deallocate(chosen.at, chosen.bytes, any_size_alignment);
    chosen = allocate();
  }
}

inline churn_load::block churn_load::allocate() {
  const std::size_t bytes = sizes_.pick(random_);
  void* at = memory_->allocate(bytes, any_size_alignment);
  touch(at, bytes);
  return {at, bytes};
}

}  // namespace bench
