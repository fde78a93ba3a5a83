// SPDX-License-Identifier: Apache-2.0
module;
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

export module strata.mem:slab;

import :bytes;
import :size_class;

/// Slabs (Bonwick 1994): pieces of memory cut into equal slots, with a bit for each slot that is free.
///
///   span     | heads | unit | unit | … | unit |      2 MiB, aligned to its size, so that a mask of an address finds
///   the heads slab     one unit of 64 KiB, or four for slots above 8 KiB, cut into slots from its start
///
/// Heads lie apart from slots: a slab of 4 KiB slots wastes nothing, and a wild write into a slot does not reach them.
/// Nothing is ever written into a free slot.
///
/// One thread at a time for each span and slab. Nothing throws, allocates or locks.
export namespace strata::mem {

inline constexpr std::size_t span_bytes = std::size_t{2} << 20;
inline constexpr std::size_t unit_bytes = std::size_t{64} << 10;
inline constexpr std::size_t units_per_span = span_bytes / unit_bytes;

enum class slab_fault : std::uint8_t {
  none,
  not_a_slot,    ///< the address is not the start of a slot of this class
  already_free,  ///< the slot is free
};

[[nodiscard]] const char* describe(slab_fault fault) noexcept;

struct slab {
  static constexpr std::size_t max_slots = unit_bytes / size_class::quantum;
  static constexpr std::size_t words = max_slots / 64;

  slab* next;  ///< in a list of its class
  slab* prev;
  std::byte* base;  ///< first slot
  std::uint32_t slots;
  std::uint32_t free;  ///< bits set in `bits`
  std::uint32_t slot_bytes;
  std::uint32_t inverse;  ///< 2^32 / slot_bytes, rounded up: the slot of an offset by a multiplication
  std::uint32_t hint;     ///< no bit is set in a word below this
  std::uint8_t cls;
  std::uint8_t units;                     ///< 1 or 4; 0 while it is no slab
  bool listed;                            ///< in its class's list of slabs to take from
  std::array<std::uint64_t, words> bits;  ///< 1: free

  /// Makes a slab of class `c` out of `units` at `base`, all slots free.
  void format(std::byte* base, std::size_t c, std::size_t units) noexcept;

  /// Moves up to `wanted` free slots to `out`, lowest addresses first, into falling indices: whoever takes from the
  /// back gets them rising. Returns how many.
  std::size_t take(void** out, std::size_t wanted) noexcept;

  /// Takes a slot back.
  [[nodiscard]] inline slab_fault put(const void* p) noexcept {
    const auto offset = static_cast<std::uint64_t>(address(p) - address(base));
    const auto slot = static_cast<std::uint32_t>((offset * inverse) >> 32);
    if (offset != std::uint64_t{slot} * slot_bytes || slot >= slots) return slab_fault::not_a_slot;
    const std::uint64_t bit = std::uint64_t{1} << (slot % 64);
    std::uint64_t& word = bits[slot / 64];
    if ((word & bit) != 0) return slab_fault::already_free;
    word |= bit;
    if (slot / 64 < hint) hint = slot / 64;
    ++free;
    return slab_fault::none;
  }

  /// Units a slab of class `c` takes.
  [[nodiscard]] static inline constexpr std::size_t units_for(std::size_t c) noexcept {
    return size_class::bytes(c) <= unit_bytes / 8 ? 1 : 4;
  }
};

struct span {
  span* next;  ///< in the store's list
  span* prev;
  std::uint32_t free_units;                        ///< bit u: unit u belongs to no slab; unit 0 holds the heads
  std::array<std::uint8_t, units_per_span> first;  ///< first unit of the slab that unit u belongs to
  std::array<slab, units_per_span> slabs;          ///< by first unit

  static constexpr std::uint32_t all_free = ~std::uint32_t{1};

  /// Makes a span of the memory at `memory`. Pre: aligned to span_bytes, span_bytes long.
  [[nodiscard]] static span* format(void* memory) noexcept;

  /// A slab of class `c` out of adjacent free units, or null when there are none.
  [[nodiscard]] slab* make_slab(std::size_t c) noexcept;

  /// Pre: all slots are free.
  void unmake_slab(slab* s) noexcept;

  [[nodiscard]] inline bool is_empty() const noexcept { return free_units == all_free; }
  [[nodiscard]] inline bool is_full() const noexcept { return free_units == 0; }

  /// The span and the slab a slot lies in. Pre: `p` is in a span, in a unit of a slab.
  [[nodiscard]] static inline span* of(const void* p) noexcept {
    const auto offset = static_cast<std::ptrdiff_t>(address(p) & (span_bytes - 1));
    return at<span>(const_cast<void*>(p), -offset);
  }
  [[nodiscard]] static inline slab* slab_of(const void* p) noexcept {
    span* const owner = of(p);
    return &owner->slabs[owner->first[(address(p) & (span_bytes - 1)) / unit_bytes]];
  }
};

static_assert(sizeof(span) <= unit_bytes);

}  // namespace strata::mem
