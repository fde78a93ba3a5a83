// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>

module strata.mem:shadow_space.impl;

import :bytes;
import :mutex;
import :page_run;
import :shadow_slab;
import :shadow_space;

import strata.platform;

namespace strata::mem {

namespace {

enum : std::uint8_t { kFree, kClaimed, kQuarantined, kDead };

constexpr std::size_t kMostZones = std::size_t{1} << 14;   // 1 TiB where a page is 4 KiB
constexpr std::size_t kFewestZones = std::size_t{1} << 2;  // a process with little address space

// Lives for ever: pools may end after every destructor.
alignas(shadow_space) constinit std::array<std::byte, sizeof(shadow_space)> storage{};

}  // namespace

shadow_space& shadow_space::of_process() noexcept {
  static shadow_space* const space = ::new (storage.data()) shadow_space;
  return *space;
}

os_error shadow_space::open() noexcept {
  const lock guard(lock_);
  if (zone_count_ != 0) return {};
  page_bytes_ = mem::page_bytes();
  page_log2_ = log2_floor(page_bytes_);
  os_error refused;
  for (std::size_t zones = kMostZones; zones >= kFewestZones; zones /= 4) {
    refused = reserve_all(zones);
    if (!refused.failed()) return refused;
  }
  return refused;
}

os_error shadow_space::reserve_all(std::size_t zones) noexcept {
  const std::size_t area_bytes = zones * zone_bytes();
  stride_ = run_bytes_for(zone_pages * sizeof(shadow_page) + shadow_zone::strips * sizeof(shadow_strip));
  const std::size_t record_bytes = zones * stride_;
  const std::size_t table_bytes = run_bytes_for(zones * sizeof(shadow_zone));
  const platform::mapping area = platform::reserve(area_bytes, zone_bytes());
  if (area.base == nullptr) return area.error;
  const platform::mapping records = platform::reserve(record_bytes, page_bytes_);
  const platform::mapping table =
      records.base == nullptr ? platform::mapping{} : platform::map(table_bytes, page_bytes_);
  if (records.base == nullptr || table.base == nullptr) {
    static_cast<void>(platform::unmap(area.base, area_bytes));
    if (records.base == nullptr) return records.error;
    static_cast<void>(platform::unmap(records.base, record_bytes));
    return table.error;
  }
  area_ = static_cast<std::byte*>(area.base);
  records_ = static_cast<std::byte*>(records.base);
  zones_ = at<shadow_zone>(table.base, 0);
  zone_count_ = static_cast<std::uint32_t>(zones);
  base_.store(address(area_), std::memory_order_relaxed);
  extent_.store(area_bytes, std::memory_order_release);
  return {};
}

const shadow_zone* shadow_space::known_zone(const void* p) const noexcept {
  if (extent_.load(std::memory_order_acquire) == 0 || !contains(p)) return nullptr;
  const shadow_zone& found = zone(zone_of(page_of(p)));
  return found.holder.load(std::memory_order_acquire) == nullptr ? nullptr : &found;
}

shadow_space::found shadow_space::block_at(const void* p) const noexcept {
  const std::size_t page = page_of(p);
  for (std::size_t candidate : {page, page / strip_pages * strip_pages}) {
    shadow_note note = record(candidate).read();
    if (note.state == shadow_state::inside) {
      candidate -= std::min(candidate, note.bytes);
      note = record(candidate).read();
    }
    if (note.state == shadow_state::unused || note.state == shadow_state::inside) continue;
    const std::byte* const block = base_of_page(candidate) + note.offset;
    if (candidate == page || block + note.bytes > base_of_page(page)) return {true, candidate, block, note};
  }
  return {};
}

void shadow_space::write_block(std::size_t page, const shadow_note& note) noexcept {
  record(page).write(note);
  const std::size_t last = last_page_of(page, note);
  const std::size_t step = last - page < strip_pages ? 1 : strip_pages;
  for (std::size_t p = page + step; p <= last; p += step) {
    record(p).write({.state = shadow_state::inside, .bytes = p - page});
  }
}

// Records are made accessible once, and stay: whoever reads them in a signal handler cannot find them gone.
bool shadow_space::make_records(std::uint32_t number) noexcept {
  if (number < seen_) return !platform::give_back(records_of(number), stride_).failed();
  return !platform::commit(records_of(number), stride_).failed();
}

void shadow_space::end_quarantine() noexcept {
  const std::uint64_t now = platform::monotonic_ns();
  while (oldest_ != no_zone) {
    shadow_zone& z = zones_[oldest_];
    const bool too_many = z.hold.bytes != 0 && quarantined_ * zone_bytes() > z.hold.bytes;
    const bool too_old = z.hold.nanoseconds != 0 && now - z.released >= z.hold.nanoseconds;
    if (!too_many && !too_old) return;
    z.held = kFree;
    oldest_ = z.next;
    if (oldest_ == no_zone) newest_ = no_zone;
    --quarantined_;
  }
}

std::uint32_t shadow_space::claim(std::uint32_t count, const void* holder, const char* name) noexcept {
  const lock guard(lock_);
  end_quarantine();
  std::uint32_t first = 0;
  for (std::uint32_t z = 0; z - first < count; ++z) {
    if (z == zone_count_) return no_zone;
    if (z < seen_ && zones_[z].held != kFree) first = z + 1;
  }
  for (std::uint32_t z = first; z < first + count; ++z) {
    if (!make_records(z)) return no_zone;  // those made so far are blank, and free as before
    if (z == seen_) ++seen_;
  }
  for (std::uint32_t z = first; z < first + count; ++z) {
    shadow_zone& taken = zones_[z];
    const std::size_t length = std::min(std::strlen(name), taken.name.size() - 1);
    taken.name = {};
    std::copy_n(name, length, taken.name.begin());
    taken.free = {};
    taken.free_strips = 0;
    taken.next = no_zone;
    taken.idle = {};
    taken.used = true;
    taken.held = kClaimed;
    taken.holder.store(holder, std::memory_order_release);
  }
  claimed_ += count;
  return first;
}

void shadow_space::release(std::uint32_t first, std::uint32_t count, const shadow_hold& hold) noexcept {
  const lock guard(lock_);
  const std::uint64_t now = platform::monotonic_ns();
  for (std::uint32_t z = first; z < first + count; ++z) {
    shadow_zone& given = zones_[z];
    given.holder.store(this, std::memory_order_release);
    given.hold = hold;
    given.released = now;
    given.next = no_zone;
    switch (hold.reuse) {
      case shadow_reuse::at_end:
        given.held = kFree;
        break;
      case shadow_reuse::never:
        given.held = kDead;
        break;
      case shadow_reuse::quarantine:
        given.held = kQuarantined;
        (newest_ == no_zone ? oldest_ : zones_[newest_].next) = z;
        newest_ = z;
        ++quarantined_;
        break;
    }
  }
  claimed_ -= count;
}

void shadow_space::release_blank(std::uint32_t zone) noexcept {
  const lock guard(lock_);
  zones_[zone].holder.store(nullptr, std::memory_order_release);
  zones_[zone].held = kFree;
  --claimed_;
  // Refused, they stay resident; they are blank all the same.
  static_cast<void>(platform::give_back(records_of(zone), stride_));
}

std::size_t shadow_space::claimed_bytes() const noexcept {
  const lock guard(lock_);
  return claimed_ * zone_bytes();
}

std::size_t shadow_space::quarantined_bytes() const noexcept {
  const lock guard(lock_);
  return quarantined_ * zone_bytes();
}

}  // namespace strata::mem
