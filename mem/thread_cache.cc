// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <cstring>
#include <new>

module strata.mem:thread_cache.impl;

import :bytes;
import :size_class;
import :thread_cache;

namespace strata::mem {

thread_cache* thread_cache::format(void* memory) noexcept {
  auto* const made = ::new (memory) thread_cache;
  auto** place = at<void*>(memory, sizeof(thread_cache));
  for (std::size_t c = 0; c < size_class::count; ++c) {
    *place = nullptr;
    made->magazines_[c] = {place, place + capacity(c)};
    place += capacity(c) + 1;
  }
  return made;
}

std::size_t thread_cache::bytes() noexcept {
  std::size_t pointers = size_class::count;
  for (std::size_t c = 0; c < size_class::count; ++c) pointers += capacity(c);
  return sizeof(thread_cache) + pointers * sizeof(void*);
}

void thread_cache::drop_oldest(std::size_t c, std::size_t count) noexcept {
  void** const from = bottom(c);
  std::memmove(from, from + count, (size(c) - count) * sizeof(void*));
  magazines_[c].top -= count;
}

}  // namespace strata::mem
