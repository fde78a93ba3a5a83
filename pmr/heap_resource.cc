// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <cstddef>

module strata.pmr:heap_resource.impl;

import :heap_resource;

import strata.mem;

namespace strata::pmr {

const char* heap::refusal(std::size_t held, std::size_t needed) const noexcept {
  if (needed == 0) return "no block can be so large or so aligned";
  if (needed > max_bytes - std::min(held, max_bytes)) return "the heap would hold more than max_bytes from upstream";
  return nullptr;
}

// An eighth of what is held, so that a growing heap asks ever more rarely; whole pages, so that a source has nothing to
// round.
std::size_t heap::next_arena(std::size_t held, std::size_t needed) const noexcept {
  const std::size_t ahead = std::max(min_arena, std::min(held / 8, max_arena));
  const std::size_t wanted = mem::round_up(std::max(needed, ahead), mem::page_bytes());
  return std::max(needed, std::min(wanted, mem::round_down(max_bytes - held, mem::block::unit)));
}

}  // namespace strata::pmr
