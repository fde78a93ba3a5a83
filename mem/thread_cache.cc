// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <cstddef>
#include <cstdint>
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
    made->magazines_[c] = {place, place};
    made->tempers_[c] = {place + 1, 0};
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

std::size_t thread_cache::missed(std::size_t c, cache_miss how) noexcept {
  constexpr std::int32_t phase = 4;
  const std::int32_t sign = how == cache_miss::empty ? 1 : -1;
  std::int32_t& streak = tempers_[c].streak;
  const std::size_t now = limit(c);
  if (now == 0) return first(c);
  if (streak * sign < 0) {
    streak = sign;
    return std::max(now / 2, std::min(now, first(c)));
  }
  if (streak * sign < phase) streak += sign;
  return streak * sign == phase ? std::min(2 * now, capacity(c)) : now;
}

void thread_cache::set_limit(std::size_t c, std::size_t n) noexcept {
  granted_ += (n - limit(c)) * size_class::bytes(c);
  magazines_[c].limit = bottom(c) + n - 1;
}

}  // namespace strata::mem
