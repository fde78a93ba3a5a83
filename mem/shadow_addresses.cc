// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>

module strata.mem:shadow_addresses.impl;

import :decay;
import :shadow_addresses;
import :shadow_space;

import strata.platform;

namespace strata::mem {

namespace {

constexpr auto kStrips = static_cast<std::uint32_t>(shadow_zone::strips);

bool is_free(const shadow_zone& zone, std::uint32_t s) noexcept { return (zone.free[s / 64] >> s % 64 & 1) != 0; }

bool is_empty(const shadow_zone& zone) noexcept { return zone.free_strips == kStrips; }

}  // namespace

shadow_addresses::~shadow_addresses() {
  while (zones_ != no_zone) {
    std::uint32_t first = zones_;
    std::uint32_t count = 1;
    std::uint32_t rest = space_.zone(first).next;
    while (first != 0 && rest == first - 1) {
      first = rest;
      rest = space_.zone(first).next;
      ++count;
    }
    zones_ = rest;
    // Refused only at the limit of mappings, and not for what lies whole in it; then guards stand as far as they go.
    static_cast<void>(platform::reserve_again(space_.base_of_zone(first), count * space_.zone_bytes()));
    space_.release(first, count, hold_);
  }
}

std::uint32_t shadow_addresses::claim(std::uint32_t count) noexcept {
  if (count > (max_bytes_ - std::min(max_bytes_, bytes())) / space_.zone_bytes()) return none;
  const std::uint32_t first = space_.claim(count, holder_, name_);
  if (first == no_zone) return none;
  for (std::uint32_t z = first; z < first + count; ++z) {
    shadow_zone& zone = space_.zone(z);
    zone.free.fill(~std::uint64_t{0});
    zone.free_strips = kStrips;
    zone.next = zones_;
    zones_ = z;
  }
  zone_count_ += count;
  return first * kStrips;
}

std::uint32_t shadow_addresses::find_in(std::uint32_t z, std::uint32_t from, std::uint32_t count,
                                        std::size_t aligned) noexcept {
  const shadow_zone& zone = space_.zone(z);
  if (zone.free_strips < count) return none;
  std::uint32_t start = from;
  for (std::uint32_t s = from; s < kStrips; ++s) {
    if (!is_free(zone, s) || start % aligned != 0) {
      start = s + 1;
    } else if (s + 1 - start == count) {
      cursor_zone_ = z;
      cursor_strip_ = (start + count) % kStrips;
      return z * kStrips + start;
    }
  }
  return none;
}

std::uint32_t shadow_addresses::find(std::uint32_t count, std::size_t aligned) noexcept {
  for (std::uint32_t z = cursor_zone_, from = cursor_strip_; z != no_zone; z = space_.zone(z).next, from = 0) {
    if (const std::uint32_t found = find_in(z, from, count, aligned); found != none) return found;
  }
  for (std::uint32_t z = zones_; z != no_zone; z = space_.zone(z).next) {
    if (const std::uint32_t found = find_in(z, 0, count, aligned); found != none) return found;
  }
  return none;
}

std::uint32_t shadow_addresses::take(std::uint32_t count, std::size_t aligned) noexcept {
  if (oldest_ != none) end_quarantine(hold_.nanoseconds == 0 ? 0 : monotonic_ns());
  std::uint32_t first = none;
  if (count > kStrips) {
    first = claim((count + kStrips - 1) / kStrips);
  } else if (first = find(count, aligned); first == none && claim(1) != none) {
    first = find(count, aligned);
  }
  if (first == none) return none;
  for (std::uint32_t s = first; s < first + count; ++s) {
    shadow_zone& zone = space_.zone(s / kStrips);
    zone.free[s % kStrips / 64] &= ~(std::uint64_t{1} << s % 64);
    --zone.free_strips;
    zone.used = true;
  }
  return first;
}

void shadow_addresses::put_back(std::uint32_t first, std::uint32_t count) noexcept {
  for (std::uint32_t s = first; s < first + count; ++s) {
    space_.strip(s) = {};
    const std::size_t page = shadow_space::first_page_of(s);
    for (std::size_t p = page; p < page + shadow_space::strip_pages; ++p) space_.record(p).write({});
    shadow_zone& zone = space_.zone(s / kStrips);
    zone.free[s % kStrips / 64] |= std::uint64_t{1} << s % 64;
    ++zone.free_strips;
  }
}

void shadow_addresses::rest(std::uint32_t mapping) noexcept {
  if (hold_.reuse != shadow_reuse::quarantine) return;
  shadow_strip& gone = space_.strip(mapping);
  gone.died = monotonic_ns();
  gone.next = none;
  (oldest_ == none ? oldest_ : space_.strip(newest_).next) = mapping;
  newest_ = mapping;
  quarantined_ += gone.count * space_.strip_bytes();
}

void shadow_addresses::end_quarantine(std::uint64_t now) noexcept {
  while (oldest_ != none) {
    const shadow_strip dead = space_.strip(oldest_);
    const bool too_many = hold_.bytes != 0 && quarantined_ > hold_.bytes;
    const bool too_old = hold_.nanoseconds != 0 && now > dead.died && now - dead.died >= hold_.nanoseconds;
    if (!too_many && !too_old) return;
    quarantined_ -= dead.count * space_.strip_bytes();
    put_back(oldest_, dead.count);
    oldest_ = dead.next;
  }
  newest_ = none;
}

template <class Goes>
std::size_t shadow_addresses::give_back_if(const Goes& goes) noexcept {
  std::size_t given = 0;
  for (std::uint32_t* link = &zones_; *link != no_zone;) {
    const std::uint32_t z = *link;
    shadow_zone& zone = space_.zone(z);
    if (!goes(zone)) {
      link = &zone.next;
      continue;
    }
    *link = zone.next;
    if (cursor_zone_ == z) cursor_zone_ = no_zone;
    space_.release_blank(z);
    ++given;
  }
  zone_count_ -= static_cast<std::uint32_t>(given);
  return given;
}

std::size_t shadow_addresses::trim() noexcept {
  return give_back_if([](const shadow_zone& zone) { return is_empty(zone); });
}

std::size_t shadow_addresses::let_go(decay_period period, std::uint64_t now) noexcept {
  return give_back_if([&](shadow_zone& zone) {
    if (!is_empty(zone)) {
      zone.used = true;
      return false;
    }
    return zone.idle.look(period, now, std::exchange(zone.used, false));
  });
}

void shadow_addresses::seal_off() const noexcept {
  for (std::uint32_t z = zones_; z != no_zone; z = space_.zone(z).next) {
    static_cast<void>(platform::reserve_again(space_.base_of_zone(z), space_.zone_bytes()));
  }
}

}  // namespace strata::mem
