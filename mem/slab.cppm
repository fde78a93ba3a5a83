// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

export module strata.mem:slab;

import :bytes;
import :size_class;

/// Slabs (Bonwick 1994): pieces of memory cut into equal slots, with a bit for each slot that is free.
///
///   span     | heads | unit | unit | … | unit |      2 MiB, aligned to its size, so that a mask of an address finds
///   the heads slab     a power of two of units of 16 KiB, cut into slots from its start; of four and more, aligned
///                      to 64 KiB
///
/// Heads lie apart from slots: a slab of 4 KiB slots wastes nothing, and a wild write into a slot does not reach them.
/// Nothing is ever written into a free slot.
///
/// One thread at a time for each span and slab, but for what is said at span::out. Nothing throws, allocates or locks.
export namespace strata::mem {

inline constexpr std::size_t span_bytes = std::size_t{2} << 20;
inline constexpr std::size_t unit_bytes = std::size_t{16} << 10;
inline constexpr std::size_t units_per_span = span_bytes / unit_bytes;

enum class slab_fault : std::uint8_t {
  none,
  foreign,       ///< in no slab
  other_class,   ///< a slot of another class
  inside,        ///< in a slab of this class, but not where a slot starts
  already_free,  ///< the slot is free
};

[[nodiscard]] const char* describe(slab_fault fault) noexcept;

struct alignas(64) slab {
  static constexpr std::size_t max_slots = unit_bytes / size_class::smallest;
  static constexpr std::size_t words = max_slots / 64;
  static constexpr std::size_t max_units = 64;
  static constexpr std::uint8_t shelves = 4;

  slab* next;  ///< in a list of its class
  slab* prev;
  std::byte* base;  ///< first slot
  std::uint32_t slots;
  std::uint32_t free;  ///< bits set in `bits`
  std::uint32_t slot_bytes;
  std::uint32_t inverse;  ///< inverse_of(slot_bytes): the slot of an offset by a multiplication
  std::uint32_t hint;     ///< no bit is set in a word below this
  std::uint8_t cls;
  std::uint8_t units;                     ///< a power of two; 0 while it is no slab
  std::uint8_t shelf;                     ///< list of its class it is in, by how much is free: 1 to shelves; 0 for none
  std::array<std::uint64_t, words> bits;  ///< 1: free

  /// Makes a slab of class `c` out of `units` at `base`, all slots free.
  void format(std::byte* base, std::size_t c, std::size_t units) noexcept;

  /// Moves up to `wanted` free slots to `into`, lowest addresses first, into falling indices: whoever takes from the
  /// back gets them rising. Returns how many.
  std::size_t take(void** into, std::size_t wanted) noexcept;

  struct place {
    std::uint32_t slot;
    slab_fault fault;  ///< none, or what keeps `p` from being a slot of class `c`
  };

  /// Which slot of class `c` the address is.
  [[nodiscard]] inline place find(const void* p, std::size_t c) const noexcept {
    if (units == 0) return {0, slab_fault::foreign};
    if (cls != c) return {0, slab_fault::other_class};
    const auto offset = static_cast<std::uint64_t>(address(p) - address(base));
    const auto slot = static_cast<std::uint32_t>((offset * inverse) >> 32);
    const bool starts = offset == std::uint64_t{slot} * slot_bytes && slot < slots;
    return {slot, starts ? slab_fault::none : slab_fault::inside};
  }

  /// Takes a slot of class `c` back.
  [[nodiscard]] inline slab_fault put(const void* p, std::size_t c) noexcept {
    const auto [slot, fault] = find(p, c);
    if (fault != slab_fault::none) return fault;
    const std::uint64_t bit = std::uint64_t{1} << (slot % 64);
    std::uint64_t& word = bits[slot / 64];
    if ((word & bit) != 0) return slab_fault::already_free;
    word |= bit;
    if (slot / 64 < hint) hint = slot / 64;
    ++free;
    return slab_fault::none;
  }

  /// 2^32 / slot_bytes, rounded up.
  [[nodiscard]] static inline constexpr std::uint32_t inverse_of(std::size_t bytes) noexcept {
    return static_cast<std::uint32_t>(((std::uint64_t{1} << 32) + bytes - 1) / bytes);
  }

  /// Has the processor fetch what put(p) will touch; nothing is read. `by` is the inverse of the slab, if it is p's.
  inline void prefetch(const void* p, std::uint32_t by) const noexcept;

  /// Whether an address lies in it.
  [[nodiscard]] inline bool spans(const void* p) const noexcept {
    return address(p) - address(base) < std::size_t{units} * unit_bytes;
  }

  /// The shelf for what is free now: none below a 64th, so that one slot going and coming does not drag the slab
  /// along; then one for each quarter.
  [[nodiscard]] inline std::uint8_t shelf_now() const noexcept {
    if (free * 64 < slots) return 0;
    return static_cast<std::uint8_t>(1 + (free * 4 >= slots) + (free * 2 >= slots) + (free * 4 >= slots * 3));
  }

  /// Units a slab of class `c` takes when slabs shall have `least` of them, a power of two: 4 for slots above 1 KiB and
  /// 16 above 8 KiB, if that is more; fewer where there would be more than max_slots.
  [[nodiscard]] static inline constexpr std::size_t units_for(std::size_t c, std::size_t least = 1) noexcept {
    const std::size_t bytes = size_class::bytes(c);
    std::size_t units = std::max<std::size_t>(least, bytes <= 1024 ? 1 : bytes <= 8192 ? 4 : 16);
    while (units * unit_bytes > bytes * max_slots) units /= 2;
    return units;
  }
};

struct span {
  using unit_bits = std::array<std::uint64_t, units_per_span / 64>;
  using slot_bits = std::array<std::uint64_t, slab::words>;

  span* next;  ///< in the store's list
  span* prev;
  unit_bits free_units;                            ///< unit u belongs to no slab
  std::array<std::uint8_t, units_per_span> first;  ///< first unit of the slab that unit u belongs to
  std::array<slab, units_per_span> slabs;          ///< by first unit; those of the heads are none
  std::array<slot_bits, units_per_span> out;       ///< slots with the user, by slab. Kept by checked stores alone, by
                                                   ///< atomic operations of any thread

  /// Units the heads take.
  static const std::size_t head_units;

  /// Makes a span of the memory at `memory`. Pre: aligned to span_bytes, span_bytes long.
  [[nodiscard]] static span* format(void* memory) noexcept;

  /// A slab of class `c` out of `units` adjacent free units, or null when there are none. Pre: a power of two, at most
  /// slab::max_units.
  [[nodiscard]] slab* make_slab(std::size_t c, std::size_t units) noexcept;

  /// Takes `units` adjacent free units out of use for good, and returns where they start, or null when there are none.
  /// Pre: as for make_slab().
  [[nodiscard]] void* set_aside(std::size_t units) noexcept;

  /// Pre: all slots are free.
  void unmake_slab(slab* s) noexcept;

  /// Hands the memory of free units back to the OS; they stay the span's.
  void discard_free_units() noexcept;

  [[nodiscard]] inline bool is_empty() const noexcept { return free_units == all_free; }
  [[nodiscard]] inline bool is_full() const noexcept { return free_units == unit_bits{}; }

  /// The word of `out` for slot `i` of a slab of this span.
  [[nodiscard]] inline std::uint64_t& out_word(const slab* s, std::uint32_t i) noexcept {
    return out[static_cast<std::size_t>(s - slabs.data())][i / 64];
  }

  /// The span and the slab a slot lies in. Pre: `p` is in a span.
  [[nodiscard]] static inline span* of(const void* p) noexcept {
    const auto offset = static_cast<std::ptrdiff_t>(address(p) & (span_bytes - 1));
    return at<span>(const_cast<void*>(p), -offset);
  }
  [[nodiscard]] static inline slab* slab_of(const void* p) noexcept {
    span* const owner = of(p);
    return &owner->slabs[owner->first[(address(p) & (span_bytes - 1)) / unit_bytes]];
  }

 private:
  static const unit_bits all_free;

  [[nodiscard]] std::size_t take_units(std::size_t units) noexcept;
};

// Slabs are aligned to a unit at least, so of those with one the slot follows from the address; of larger ones this
// finds some word.
inline void slab::prefetch(const void* p, std::uint32_t by) const noexcept {
  const std::uint64_t slot = ((address(p) & (unit_bytes - 1)) * by) >> 32;
  __builtin_prefetch(this, 1);
  __builtin_prefetch(&bits[slot / 64], 1);
}

inline constexpr std::size_t span::head_units = (sizeof(span) + unit_bytes - 1) / unit_bytes;
inline constexpr span::unit_bits span::all_free = {~std::uint64_t{0} << span::head_units, ~std::uint64_t{0}};

}  // namespace strata::mem
