// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <cstddef>
#include <cstdint>

module strata.mem:decay.impl;

import :decay;

namespace strata::mem {

std::size_t decay::look(std::uint64_t now, std::size_t low, std::size_t kept) noexcept {
  if (!period_.is_on()) return 0;
  if (period_.ns() == 0) return kept;
  if (!begun_ || now < last_) {
    begun_ = true;
    full_ = 0;
    last_ = now;
    current_ = {now, kept};
    return 0;
  }
  last_ = now;
  current_.low = std::min({current_.low, low, kept});

  std::size_t unused = current_.low;
  std::uint64_t since = current_.start;
  for (std::size_t i = 0; i < full_ && now - since < period_.ns(); ++i) {
    unused = std::min(unused, past_[i].low);
    since = past_[i].start;
  }

  if (begins_slice(now)) {
    std::move_backward(past_.begin(), past_.end() - 1, past_.end());
    past_[0] = current_;
    full_ = std::min(full_ + 1, past_.size());
    current_ = {now, kept};
  }
  return now - since >= period_.ns() ? unused : 0;
}

void decay::gave(std::size_t bytes) noexcept {
  const auto lower = [bytes](slice& s) { s.low -= std::min(s.low, bytes); };
  lower(current_);
  std::for_each(past_.begin(), past_.end(), lower);
}

void decay::found(std::size_t bytes) noexcept {
  const auto raise = [bytes](slice& s) { s.low += bytes; };
  raise(current_);
  std::for_each_n(past_.begin(), full_, raise);
}

}  // namespace strata::mem
