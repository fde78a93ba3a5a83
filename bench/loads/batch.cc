// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory_resource>
#include <numeric>
#include <utility>
#include <vector>

module bench:batch.impl;

import :batch;
import :random;
import :workload;

namespace bench {

batch_load::batch_load(std::pmr::memory_resource* memory, std::size_t blocks, std::size_t bytes, order in)
    : memory_(opaque(memory)), bytes_(bytes), blocks_(blocks), order_(blocks) {
  std::iota(order_.begin(), order_.end(), 0U);
  if (in == order::lifo) std::reverse(order_.begin(), order_.end());
  if (in == order::random) {
    random_numbers random(5);
    for (std::size_t i = order_.size() - 1; i > 0; --i) std::swap(order_[i], order_[random.below(i + 1)]);
  }
}

std::uint64_t batch_load::run(std::uint64_t operations) {
  std::uint64_t done = 0;
  do {
    for (void*& b : blocks_) {
      b = memory_->allocate(bytes_);
      touch(b, bytes_);
    }
    for (const std::uint32_t i : order_) memory_->deallocate(blocks_[i], bytes_);
    done += blocks_.size();
  } while (done < operations);
  return done;
}

}  // namespace bench
