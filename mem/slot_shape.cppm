// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <cstdint>

export module strata.mem:slot_shape;

import :bytes;

/// How slots of one size lie in chunks, and what may be wrong with a pointer to one.
///
///   chunk   | slot | slot | … |      a power of two, aligned to its size; nothing but slots
export namespace strata::mem {

struct slot_shape {
  static constexpr std::size_t largest_chunk = std::size_t{1} << 31;  ///< bytes

  std::size_t slot_bytes = 0;     ///< distance of slots
  std::size_t chunk_bytes = 0;    ///< a power of two
  std::uint32_t slots = 0;        ///< in a chunk; 0: such slots cannot be
  std::uint32_t number_bits = 0;  ///< of a slot's number, those that count within the chunk
  std::uint64_t inverse = 0;      ///< 2^32 / slot_bytes, rounded up: the slot of an offset by a multiplication

  /// Slots of `bytes` aligned to `alignment`, a power of two, at least `least` in a chunk, which is at least
  /// `chunk_bytes`.
  [[nodiscard]] static slot_shape of(std::size_t bytes, std::size_t alignment, std::size_t chunk_bytes,
                                     std::uint32_t least) noexcept;

  /// Alignment of every slot: at least what was asked for.
  [[nodiscard]] inline constexpr std::size_t alignment() const noexcept { return slot_bytes & (0 - slot_bytes); }

  /// Which slot starts `offset` bytes into a chunk; `slots` or more when none does. Pre: offset < chunk_bytes.
  [[nodiscard]] inline constexpr std::uint32_t slot_at(std::size_t offset) const noexcept {
    // Exact for every multiple of slot_bytes below 2^32.
    const auto i = static_cast<std::uint32_t>((offset * inverse) >> 32);
    return offset == i * slot_bytes ? i : slots;
  }
};

enum class slot_fault : std::uint8_t {
  none,
  foreign,       ///< the address is in no chunk
  not_a_slot,    ///< it is in a chunk, but not where a slot starts
  already_free,  ///< the slot is not out
};

[[nodiscard]] const char* describe(slot_fault fault) noexcept;

}  // namespace strata::mem
