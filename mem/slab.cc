// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>

module strata.mem:slab.impl;

import :bytes;
import :size_class;
import :slab;

namespace strata::mem {

const char* describe(slab_fault fault) noexcept {
  switch (fault) {
    case slab_fault::none:
      return "no fault";
    case slab_fault::not_a_slot:
      return "not a block of this resource, or deallocated with another size than it was allocated with";
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
  // Offsets are below 2^18: with the inverse rounded up, offset × inverse / 2^32 is exact.
  inverse = static_cast<std::uint32_t>(((std::uint64_t{1} << 32) + slot_bytes - 1) / slot_bytes);
  hint = 0;
  cls = static_cast<std::uint8_t>(c);
  units = static_cast<std::uint8_t>(unit_count);
  listed = false;
  const std::size_t whole = slots / 64;
  std::fill_n(bits.begin(), whole, ~std::uint64_t{0});
  if (slots % 64 != 0) bits[whole] = (std::uint64_t{1} << (slots % 64)) - 1;
}

std::size_t slab::take(void** out, std::size_t wanted) noexcept {
  const std::size_t count = std::min<std::size_t>(wanted, free);
  std::size_t left = count;
  std::size_t w = hint;
  while (left != 0) {
    std::uint64_t word = bits[w];
    for (; word != 0 && left != 0; word &= word - 1) {
      const std::size_t slot = w * 64 + static_cast<std::size_t>(std::countr_zero(word));
      out[--left] = base + slot * slot_bytes;
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
  for (slab& s : made->slabs) s.units = 0;
  return made;
}

slab* span::make_slab(std::size_t c) noexcept {
  const std::size_t units = slab::units_for(c);
  // Bit u stays where units u … u + 3 are free.
  std::uint32_t starts = free_units;
  if (units == 4) {
    starts &= starts >> 1;
    starts &= starts >> 2;
  }
  if (starts == 0) return nullptr;
  const auto unit = static_cast<std::size_t>(std::countr_zero(starts));
  const std::uint32_t taken = ((std::uint32_t{1} << units) - 1) << unit;
  free_units &= ~taken;
  for (std::size_t u = unit; u < unit + units; ++u) first[u] = static_cast<std::uint8_t>(unit);
  slab* const made = &slabs[unit];
  made->format(at<std::byte>(this, static_cast<std::ptrdiff_t>(unit * unit_bytes)), c, units);
  return made;
}

void span::unmake_slab(slab* s) noexcept {
  const auto unit = static_cast<std::size_t>(s - slabs.data());
  free_units |= ((std::uint32_t{1} << s->units) - 1) << unit;
  s->units = 0;
}

}  // namespace strata::mem
