// SPDX-License-Identifier: Apache-2.0
module;
#include <atomic>
#include <cerrno>
#include <cstddef>

module strata.mem:page_guards.impl;

import :inspector;
import :page_guards;
import :page_run;

import strata.platform;

namespace strata::mem {

namespace {

constinit std::atomic<std::size_t> claimed{0};

platform::guard_support support_for(guard_ground ground) noexcept {
  if (ground == guard_ground::own) {
    const platform::guard_support support = platform::guards_supported();
    return support == platform::guard_support::objects_as_well ? support : platform::guard_support::none;
  }
  // LeakSanitizer reads whatever a mapping says may be read, marked pages too, and would die of it.
  return has_address_sanitizer ? platform::guard_support::none : platform::guards_supported();
}

}  // namespace

page_guards::page_guards(std::size_t mapping_budget, guard_ground ground) noexcept
    : ground_(ground),
      support_(support_for(ground)),
      budget_(mapping_budget != 0 ? mapping_budget : platform::mapping_limit() / 4) {}

std::size_t page_guards::mappings_claimed() noexcept { return claimed.load(std::memory_order_relaxed); }

bool page_guards::has_room_for(std::size_t ranges) const noexcept {
  if (!costs_mappings()) return true;
  const std::size_t now = mappings_claimed();
  return now <= budget_ && (budget_ - now) / mappings_each >= ranges;
}

bool page_guards::claim() noexcept {
  std::size_t now = claimed.load(std::memory_order_relaxed);
  do {
    if (now > budget_ || budget_ - now < mappings_each) return false;
  } while (!claimed.compare_exchange_weak(now, now + mappings_each, std::memory_order_relaxed));
  return true;
}

page_guards::outcome page_guards::set(void* base, std::size_t bytes) noexcept {
  if (support_ != platform::guard_support::none) {
    const os_error refused = platform::guard(base, bytes);
    if (!refused.failed()) return {means::marks, {}};
    // Where the kernel guards any memory, only a lock makes it say EINVAL. Where it guards private memory alone, this may
    // be a shared segment.
    const bool locked = refused.code == EINVAL && support_ == platform::guard_support::objects_as_well;
    if (ground_ == guard_ground::lent && (refused.code != EINVAL || locked)) return {means::none, refused};
  }
  if (!claim()) return {};
  const os_error refused = platform::protect(base, bytes, platform::access::none);
  if (!refused.failed()) return {means::protection, {}};
  claimed.fetch_sub(mappings_each, std::memory_order_relaxed);
  return {means::none, refused};
}

void page_guards::forget(std::size_t protected_ranges) noexcept {
  claimed.fetch_sub(protected_ranges * mappings_each, std::memory_order_relaxed);
}

os_error page_guards::lift(void* base, std::size_t bytes, bool marks, std::size_t protected_ranges) noexcept {
  // Protection first: it is the one that may be refused for want of mappings, and then all of it stands.
  if (protected_ranges != 0) {
    const os_error refused = platform::protect(base, bytes, platform::access::read_write);
    if (refused.failed()) return refused;
    forget(protected_ranges);
  }
  return marks ? platform::unguard(base, bytes) : os_error{};
}

}  // namespace strata::mem
