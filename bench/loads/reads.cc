// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory_resource>

module bench:reads.impl;

import :random;
import :reads;
import :workload;

namespace bench {

// All of it is written, with zeros: a page nobody wrote to is the same page everywhere.
reads_load::reads_load(std::pmr::memory_resource* memory, std::size_t bytes, order how)
    : memory_(opaque(memory)),
      words_(bytes / sizeof(std::uint64_t)),
      how_(how),
      block_(static_cast<std::uint64_t*>(memory_->allocate(bytes, alignof(std::uint64_t)))) {
  std::fill_n(block_, words_, std::uint64_t{0});
}

reads_load::~reads_load() { memory_->deallocate(block_, words_ * sizeof(std::uint64_t), alignof(std::uint64_t)); }

std::uint64_t reads_load::run(std::uint64_t operations) {
  std::uint64_t seen = sum_;
  if (how_ == order::chased) {
    // What was read, always zero, is part of the next place: it has to be waited for.
    for (std::uint64_t i = 0; i < operations; ++i) seen = block_[random_.below(words_) + seen];
  } else {
    for (std::uint64_t i = 0; i < operations; ++i) seen += block_[random_.below(words_)];
  }
  sum_ = seen;
  asm volatile("" : : "r"(seen));
  return operations;
}

}  // namespace bench
