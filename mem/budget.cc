// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>

module strata.mem:budget.impl;

import :budget;
import :bytes;
import :threads;

import strata.platform;

namespace strata::mem {

namespace {

constexpr std::size_t no_limit = std::numeric_limits<std::size_t>::max();

// No double is exactly the largest size: what would be more is cut off before it is converted.
std::size_t part(double share, std::uint64_t bytes) noexcept {
  const double wanted = share * static_cast<double>(bytes);
  return wanted < static_cast<double>(max_object) ? static_cast<std::size_t>(wanted) : max_object;
}

std::size_t sum(std::size_t a, std::size_t b) noexcept {
  std::size_t result = 0;
  return checked_add(a, b, result) ? result : no_limit;
}

}  // namespace

headroom measure_headroom(const char* root) noexcept {
  const platform::memory_status now = platform::memory(root);
  headroom found{.at_once = now.available, .in_time = now.available};
  if (now.cache && now.cache->size > now.cache->minimum) {
    const std::uint64_t limit = now.limit != 0 ? now.limit : std::numeric_limits<std::uint64_t>::max();
    found.in_time = std::min(limit, now.available + (now.cache->size - now.cache->minimum));
  }
  return found;
}

headroom measure_headroom() noexcept { return measure_headroom(""); }

template <threads Threads>
budget<Threads>::budget(const budget_plan& plan) noexcept : plan_(plan) {
  const std::size_t fixed = plan.bytes != 0 ? plan.bytes : no_limit;
  limit_.set(fixed);
  ready_.set(fixed);
  if (plan.share > 0) {
    const headroom now = plan.look();
    limit_.set(std::min(fixed, part(plan.share, now.in_time)));
    ready_.set(std::min(fixed, part(plan.share, now.at_once)));
  }
}

template <threads Threads>
void budget<Threads>::set_limit(std::size_t bytes) noexcept {
  ready_.set(bytes);
  limit_.set(bytes);
}

template <threads Threads>
refusal budget<Threads>::claim(std::size_t bytes) noexcept {
  for (std::size_t live = live_.get();;) {
    const std::size_t limit = limit_.get();
    if (bytes > limit || live > limit - bytes) return refusal::over_limit;
    const std::size_t wanted = live + bytes;
    if (wanted > ready_.get() && !make_ready(wanted)) return refusal::not_yet;
    if (live_.exchange_if(live, wanted)) {
      peak_.raise(wanted);
      baseline_.raise(wanted);
      return refusal::none;
    }
  }
}

template <threads Threads>
bool budget<Threads>::make_ready(std::size_t wanted) noexcept {
  const std::size_t there = sum(live_.get(), part(plan_.share, plan_.look().at_once));
  return ready_.raise(there) >= wanted;
}

template <threads Threads>
std::size_t budget<Threads>::suggested_limit() const noexcept {
  constexpr std::size_t grain = std::size_t{64} << 10;
  const std::size_t seen = baseline();
  std::size_t rounded = 0;
  return checked_round_up(sum(seen, seen / 4), grain, rounded) ? rounded : no_limit;
}

template class budget<threads::one>;
template class budget<threads::any>;

}  // namespace strata::mem
