// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <cstdint>

module strata.mem:discard.impl;

import :bytes;
import :discard;

import strata.platform;

namespace strata::mem {

std::size_t discard(void* start, std::size_t bytes) noexcept {
  const std::size_t page = platform::page_size();
  const std::uintptr_t begin = round_up(address(start), page);
  const std::uintptr_t end = round_down(address(start) + bytes, page);
  if (begin >= end) return 0;
  void* const first = at<std::byte>(start, static_cast<std::ptrdiff_t>(begin - address(start)));
  return platform::give_back(first, end - begin).failed() ? 0 : end - begin;
}

}  // namespace strata::mem
