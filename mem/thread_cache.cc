// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <atomic>
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
    made->set_top(c, place);
    made->limits_[c] = place;
    made->tempers_[c] = {place + 1, 0, 0};
    place += capacity(c) + 1;
  }
  *place = nullptr;
  made->closed_top_ = place;
  return made;
}

std::size_t thread_cache::bytes() noexcept {
  std::size_t pointers = size_class::count + 1;
  for (std::size_t c = 0; c < size_class::count; ++c) pointers += capacity(c);
  return sizeof(thread_cache) + pointers * sizeof(void*);
}

void thread_cache::drop_oldest(std::size_t c, std::size_t count) noexcept {
  void** const from = bottom(c);
  std::memmove(from, from + count, (size(c) - count) * sizeof(void*));
  set_top(c, top(c) - count);
  books.moved_in(std::size_t{0} - count);
}

void thread_cache::filled(std::size_t c, std::size_t count) noexcept {
  set_top(c, top(c) + count);
  books.moved_in(count);
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
  limits_[c] = bottom(c) + n - 1;
}

// Without a look at each top first, every idle thread would pay for an empty cache with a trip to the slow way.
bool thread_cache::close() noexcept {
  if (closed_) return false;
  bool empty = true;
  for (std::size_t c = 0; c < size_class::count && empty; ++c) empty = size(c) == 0;
  if (empty) return false;
  for (std::size_t c = 0; c < size_class::count; ++c) {
    void** const was = tops_[c].exchange(closed_top_, std::memory_order_acq_rel);
    tempers_[c].was_inside = static_cast<std::uint32_t>(was + 1 - bottom(c));
  }
  return true;
}

bool thread_cache::judge(bool barrier_passed) noexcept {
  std::size_t inside = 0;
  for (std::size_t c = 0; c < size_class::count; ++c) inside += was_inside(c);
  bool settled = barrier_passed && books.agree_with(inside);
  for (std::size_t c = 0; c < size_class::count && settled; ++c) {
    settled = tops_[c].load(std::memory_order_acquire) == closed_top_;
  }
  if (settled) {
    books.moved_in(std::size_t{0} - inside);
    closed_ = true;
    return true;
  }
  for (std::size_t c = 0; c < size_class::count; ++c) {
    void** closed = closed_top_;
    tops_[c].compare_exchange_strong(closed, bottom(c) + was_inside(c) - 1, std::memory_order_acq_rel);
  }
  return false;
}

void thread_cache::open_slowly() noexcept {
  for (std::size_t c = 0; c < size_class::count; ++c) set_top(c, bottom(c) - 1);
  closed_ = false;
}

}  // namespace strata::mem
