// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <new>

module strata.mem:shadow_slab.impl;

import :bytes;
import :page_run;
import :shadow_slab;

namespace strata::mem {

namespace {

constexpr std::uint32_t kPagesAtOnce = 16;  // opened together
constexpr std::uint32_t kMostPagesInARow = 64;
constexpr std::uint32_t kStagger = 7;  // odd: every slot comes first at some time

}  // namespace

shadow_slab::made shadow_slab::make(const shadow_shape& shape, std::uint32_t units, std::uint64_t offset) noexcept {
  const std::uint32_t words = (shape.unit_slots + 63) / 64;
  // Twice as many mirrors as a page has slots: a page filled for the first time takes that many, and pages that are
  // opened later still find the mirrors that earlier ones began with.
  const std::uint32_t ring = std::max(16U, std::bit_ceil(2 * shape.unit_slots));
  const std::size_t ring_at = round_up(sizeof(shadow_slab), 64);
  const std::size_t given_at = ring_at + ring * sizeof(std::uint32_t);
  const std::size_t slots_at = round_up(given_at + std::size_t{units} * shape.unit_pages * sizeof(std::uint32_t), 64);
  const std::size_t units_at = slots_at + std::size_t{units} * words * sizeof(std::uint64_t);
  const std::size_t bytes = units_at + (std::size_t{units} + 63) / 64 * sizeof(std::uint64_t);

  const page_run_result memory = map_run(bytes, page_bytes(), {});
  if (memory.run.base == nullptr) return {nullptr, memory.error};
  auto* const slab = ::new (memory.run.base) shadow_slab;
  slab->shape_ = shape;
  slab->offset_ = offset;
  slab->memory_ = memory.run;
  slab->page_log2_ = log2_floor(page_bytes());
  slab->units_ = units;
  slab->words_ = words;
  slab->mask_ = ring - 1;
  slab->ring_ = at<std::uint32_t>(memory.run.base, static_cast<std::ptrdiff_t>(ring_at));
  slab->given_ = at<std::uint32_t>(memory.run.base, static_cast<std::ptrdiff_t>(given_at));
  slab->slots_free_ = at<std::uint64_t>(memory.run.base, static_cast<std::ptrdiff_t>(slots_at));
  slab->units_free_ = at<std::uint64_t>(memory.run.base, static_cast<std::ptrdiff_t>(units_at));
  return {slab, {}};
}

void shadow_slab::unmake(shadow_slab* slab) noexcept {
  const page_run memory = slab->memory_;
  static_cast<void>(unmap_run(memory));
}

std::uint32_t shadow_slab::units_to_open() const noexcept {
  return std::min(units_ - opened_, std::max(1U, kPagesAtOnce / shape_.unit_pages));
}

std::uint32_t shadow_slab::pages_to_open() const noexcept {
  const std::uint32_t slots = opened_ * shape_.unit_slots;
  return (slots - live_) * 16 < slots || slots == 0 ? units_to_open() * shape_.unit_pages : 0;
}

void shadow_slab::open(std::uint32_t units) noexcept {
  const std::uint32_t end = opened_ + units;
  cursor_ = opened_ == 0 ? end - 1 : opened_ - 1;  // the next one is the first of the new ones
  for (std::uint32_t u = opened_; u < end; ++u) {
    std::uint64_t* const bits = slots_of(u);
    for (std::uint32_t s = 0; s < shape_.unit_slots; ++s) bits[s / 64] |= std::uint64_t{1} << s % 64;
    units_free_[u / 64] |= std::uint64_t{1} << u % 64;
  }
  opened_ = end;
}

std::uint32_t shadow_slab::open_all() noexcept {
  const std::uint32_t more = units_ - opened_;
  if (more != 0) open(more);
  return more * shape_.unit_pages;
}

// The first unit from `from` on that has a free slot, going round. One has.
std::uint32_t shadow_slab::next_unit(std::uint32_t from) const noexcept {
  const std::uint32_t words = (units_ + 63) / 64;
  std::uint64_t word = units_free_[from / 64] & ~std::uint64_t{0} << from % 64;
  for (std::uint32_t i = from / 64;;) {
    if (word != 0) return i * 64 + static_cast<std::uint32_t>(std::countr_zero(word));
    i = i + 1 == words ? 0 : i + 1;
    word = units_free_[i];
  }
}

// The same of the slots of a unit, which has a free one.
std::uint32_t shadow_slab::next_slot(std::uint32_t unit, std::uint32_t from) const noexcept {
  const std::uint64_t* const bits = slots_of(unit);
  std::uint64_t word = bits[from / 64] & ~std::uint64_t{0} << from % 64;
  for (std::uint32_t i = from / 64;;) {
    if (word != 0) return i * 64 + static_cast<std::uint32_t>(std::countr_zero(word));
    i = i + 1 == words_ ? 0 : i + 1;
    word = bits[i];
  }
}

shadow_slab::place shadow_slab::place_of(std::uint32_t unit, std::uint32_t slot) const noexcept {
  const std::size_t start = std::size_t{slot} * shape_.slot_bytes;
  const std::uint32_t page = unit * shape_.unit_pages;
  return {unit, slot, page + static_cast<std::uint32_t>(start >> page_log2_),
          page + static_cast<std::uint32_t>((start + shape_.slot_bytes - 1) >> page_log2_)};
}

shadow_slab::place shadow_slab::choose(bool may_open) noexcept {
  if (may_open && pages_to_open() != 0) open(units_to_open());
  const std::uint32_t unit = next_unit(cursor_ + 1 < opened_ ? cursor_ + 1 : 0);
  if (unit <= cursor_) stagger_ += kStagger;  // once round
  cursor_ = unit;
  return place_of(unit, next_slot(unit, (stagger_ + unit * kStagger) % shape_.unit_slots));
}

std::uint32_t shadow_slab::mirror_for(const place& where) const noexcept {
  std::uint32_t number = begin_;
  for (std::uint32_t p = where.first; p <= where.last; ++p) number = std::max(number, given_[p]);
  while (number != end_ && mirror(number) == no_mirror) ++number;
  return number;
}

std::uint32_t shadow_slab::pages_in_a_row(const place& where) const noexcept {
  std::uint32_t unit = where.unit + 1;
  const std::uint32_t end = std::min(opened_, where.unit + std::max(1U, kMostPagesInARow / shape_.unit_pages));
  while (unit < end && (units_free_[unit / 64] >> unit % 64 & 1) != 0) ++unit;
  return unit * shape_.unit_pages - where.first;
}

std::uint32_t shadow_slab::fresh_mirrors() const noexcept {
  return end_ - std::min(end_, std::max(begin_, *std::max_element(given_, given_ + pages())));
}

std::uint32_t shadow_slab::push_mirror(std::uint32_t id) noexcept {
  std::uint32_t closed = no_mirror;
  if (end_ - begin_ == mask_ + 1) closed = ring_[begin_++ & mask_];
  ring_[end_++ & mask_] = id;
  return closed;
}

std::uint32_t shadow_slab::oldest_mirror() noexcept {
  for (; begin_ != end_; ++begin_) {
    if (ring_[begin_ & mask_] != no_mirror) return ring_[begin_ & mask_];
  }
  return no_mirror;
}

void shadow_slab::drop_mirror(std::uint32_t number) noexcept {
  if (number - begin_ < end_ - begin_) ring_[number & mask_] = no_mirror;
}

void shadow_slab::take(const place& where, std::uint32_t number) noexcept {
  std::fill(given_ + where.first, given_ + where.last + 1, number + 1);
  std::uint64_t* const bits = slots_of(where.unit);
  bits[where.slot / 64] &= ~(std::uint64_t{1} << where.slot % 64);
  ++live_;
  if (std::all_of(bits, bits + words_, [](std::uint64_t word) { return word == 0; })) {
    units_free_[where.unit / 64] &= ~(std::uint64_t{1} << where.unit % 64);
  }
}

shadow_slab::place shadow_slab::place_at(std::size_t bytes) const noexcept {
  const std::size_t unit_bytes = std::size_t{shape_.unit_pages} << page_log2_;
  return place_of(static_cast<std::uint32_t>(bytes / unit_bytes),
                  static_cast<std::uint32_t>(bytes % unit_bytes / shape_.slot_bytes));
}

void shadow_slab::give(const place& where) noexcept {
  slots_of(where.unit)[where.slot / 64] |= std::uint64_t{1} << where.slot % 64;
  units_free_[where.unit / 64] |= std::uint64_t{1} << where.unit % 64;
  --live_;
}

const char* shadow_slab::check() const noexcept {
  std::size_t free = 0;
  for (std::uint32_t u = 0; u < units_; ++u) {
    std::size_t here = 0;
    for (std::uint32_t w = 0; w < words_; ++w) here += static_cast<std::size_t>(std::popcount(slots_of(u)[w]));
    if ((here != 0) != ((units_free_[u / 64] >> u % 64 & 1) != 0)) {
      return "a unit of a shadow slab has free slots, or is said to have some, but not both";
    }
    if (u >= opened_ && here != 0) return "a unit of a shadow slab has free slots before it was opened";
    free += here;
  }
  if (free + live_ != std::size_t{opened_} * shape_.unit_slots) return "a shadow slab's slots do not add up";
  if (end_ - begin_ > mask_ + 1) return "a shadow slab has more mirrors than its ring holds";
  for (std::uint32_t p = 0; p < pages(); ++p) {
    if (given_[p] > end_) return "a page of a shadow slab used a mirror that was never made";
  }
  return nullptr;
}

}  // namespace strata::mem
