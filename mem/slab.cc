// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>

module strata.mem:slab.impl;

import :bytes;
import :discard;
import :size_class;
import :slab;

namespace strata::mem {

namespace {

constexpr std::uint64_t mask_of(std::size_t units) noexcept {
  return units == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << units) - 1;
}

constexpr std::size_t aligned_units = size_class::largest / unit_bytes;
constexpr std::uint64_t every_fourth = 0x1111'1111'1111'1111;
static_assert(aligned_units == 4);

}  // namespace

const char* describe(slab_fault fault) noexcept {
  switch (fault) {
    case slab_fault::none:
      return "no fault";
    case slab_fault::foreign:
      return "not a block of this resource";
    case slab_fault::other_class:
      return "deallocated with another size or alignment than it was allocated with";
    case slab_fault::inside:
      return "an address inside a block, or a block deallocated with another size or alignment than it was allocated "
             "with";
    case slab_fault::already_free:
      return "the block was deallocated twice";
  }
  return "unknown fault";
}

void slab::format(std::byte* start, std::size_t c, std::size_t unit_count) noexcept {
  next = prev = nullptr;
  base = start;
  slot_bytes = static_cast<std::uint32_t>(size_class::bytes(c));
  slots = static_cast<std::uint32_t>(unit_count * unit_bytes / slot_bytes);
  free = slots;
  // Offsets are below 2^20: with the inverse rounded up, offset × inverse / 2^32 is exact where slots start.
  inverse = inverse_of(slot_bytes);
  hint = 0;
  cls = static_cast<std::uint8_t>(c);
  units = static_cast<std::uint8_t>(unit_count);
  shelf = 0;
  const std::size_t whole = slots / 64;
  std::fill_n(bits.begin(), whole, ~std::uint64_t{0});
  if (slots % 64 != 0) bits[whole] = (std::uint64_t{1} << (slots % 64)) - 1;
}

std::size_t slab::take(void** into, std::size_t wanted) noexcept {
  const std::size_t count = std::min<std::size_t>(wanted, free);
  std::size_t left = count;
  std::size_t w = hint;
  while (left != 0) {
    std::uint64_t word = bits[w];
    for (; word != 0 && left != 0; word &= word - 1) {
      const std::size_t slot = w * 64 + static_cast<std::size_t>(std::countr_zero(word));
      into[--left] = base + slot * slot_bytes;
    }
    bits[w] = word;
    if (word == 0) ++w;
  }
  hint = static_cast<std::uint32_t>(w);
  free -= static_cast<std::uint32_t>(count);
  return count;
}

span* span::format(void* memory) noexcept {
  auto* const made = static_cast<span*>(memory);
  made->next = made->prev = nullptr;
  made->free_units = all_free;
  made->first.fill(0);
  for (slab& s : made->slabs) s.units = 0;
  return made;
}

// First of so many adjacent free units, no longer free; 0 when there are none. They do not cross a word. Slabs of four
// and more are aligned to four: slots of 64 KiB, which may have to be aligned so, lie in no others.
std::size_t span::take_units(std::size_t units) noexcept {
  for (std::size_t w = 0; w < free_units.size(); ++w) {
    // Bit u stays where units u … u + units - 1 are free.
    std::uint64_t starts = free_units[w];
    for (std::size_t n = 1; n < units; n *= 2) starts &= starts >> n;
    if (units >= aligned_units) starts &= every_fourth;
    if (starts == 0) continue;
    const auto bit = static_cast<std::size_t>(std::countr_zero(starts));
    free_units[w] &= ~(mask_of(units) << bit);
    return w * 64 + bit;
  }
  return 0;
}

slab* span::make_slab(std::size_t c, std::size_t units) noexcept {
  const std::size_t unit = take_units(units);
  if (unit == 0) return nullptr;
  for (std::size_t u = unit; u < unit + units; ++u) first[u] = static_cast<std::uint8_t>(unit);
  slab* const made = &slabs[unit];
  made->format(at<std::byte>(this, static_cast<std::ptrdiff_t>(unit * unit_bytes)), c, units);
  return made;
}

void* span::set_aside(std::size_t units) noexcept {
  const std::size_t unit = take_units(units);
  return unit == 0 ? nullptr : at<void>(this, static_cast<std::ptrdiff_t>(unit * unit_bytes));
}

void span::discard_free_units() noexcept {
  const auto is_free = [this](std::size_t u) { return (free_units[u / 64] >> (u % 64) & 1) != 0; };
  for (std::size_t u = head_units; u < units_per_span;) {
    std::size_t end = u;
    while (end < units_per_span && is_free(end)) ++end;
    if (end != u) discard(at<std::byte>(this, static_cast<std::ptrdiff_t>(u * unit_bytes)), (end - u) * unit_bytes);
    u = end + 1;
  }
}

void span::unmake_slab(slab* s) noexcept {
  const auto unit = static_cast<std::size_t>(s - slabs.data());
  free_units[unit / 64] |= mask_of(s->units) << (unit % 64);
  s->units = 0;
}

}  // namespace strata::mem
