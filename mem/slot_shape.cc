// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>

module strata.mem:slot_shape.impl;

import :bytes;
import :slot_shape;

namespace strata::mem {

slot_shape slot_shape::of(std::size_t bytes, std::size_t alignment, std::size_t chunk_bytes,
                          std::uint32_t least) noexcept {
  // What no chunk can hold gets a shape without slots, of which nothing is ever made.
  const slot_shape none{.slot_bytes = 1, .chunk_bytes = 1};
  if (!std::has_single_bit(alignment)) return none;
  if (bytes > largest_chunk || alignment > largest_chunk || chunk_bytes > largest_chunk) return none;
  const std::size_t slot = round_up(std::max<std::size_t>(bytes, 1), alignment);
  least = std::max(least, 1U);
  if (least > largest_chunk / slot) return none;
  const std::size_t chunk = std::bit_ceil(std::max(chunk_bytes, least * slot));
  const std::size_t slots = chunk / slot;
  return {.slot_bytes = slot,
          .chunk_bytes = chunk,
          .slots = static_cast<std::uint32_t>(slots),
          .number_bits = static_cast<std::uint32_t>(std::bit_width(slots - 1)),
          .inverse = ((std::uint64_t{1} << 32) + slot - 1) / slot};
}

const char* describe(slot_fault fault) noexcept {
  switch (fault) {
    case slot_fault::foreign:
      return "the pointer is no slot of this pool";
    case slot_fault::not_a_slot:
      return "the pointer is in a chunk of this pool, but not the start of a slot";
    case slot_fault::already_free:
      return "the slot is free already";
    case slot_fault::none:
      break;
  }
  return nullptr;
}

}  // namespace strata::mem
