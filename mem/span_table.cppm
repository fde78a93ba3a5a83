// SPDX-License-Identifier: Apache-2.0
module;
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

export module strata.mem:span_table;

import :bytes;

/// Which addresses are spans: a set that any thread may ask, without a lock, about any address, while one thread at a
/// time changes it.
///
/// Open addressing, linear probing, half full at most. To hold more it is given memory, which it keeps until clear():
/// somebody may still be reading the places used before. From 2^16 spans on (128 GiB) it takes every address for a
/// span.
export namespace strata::mem {

class span_table {
 public:
  span_table() noexcept { clear(); }
  span_table(const span_table&) = delete;
  span_table& operator=(const span_table&) = delete;

  /// Whether the span at `base` was added and not removed.
  [[nodiscard]] inline bool contains(std::uintptr_t base) const noexcept {
    const places* const in = current_.load(std::memory_order_acquire);
    for (std::size_t i = first(base, *in);; i = (i + 1) & in->mask) {
      const std::uintptr_t found = in->at[i].load(std::memory_order_relaxed);
      if (found == base) return true;
      if (found == nothing) return overflowed_.load(std::memory_order_relaxed);
    }
  }

  static constexpr std::size_t growths = 5;  ///< 64 KiB … 1 MiB

  /// Bytes that grow() wants before the next add(); 0 when there is a place, or never will be.
  [[nodiscard]] std::size_t wanted() const noexcept;

  /// Takes `memory`, as long as wanted() said and aligned for pointers, for its places from now on.
  void grow(void* memory) noexcept;

  /// Pre: wanted() is 0; `base` is not there and not 0.
  void add(std::uintptr_t base) noexcept;

  /// Pre: it was added.
  void remove(std::uintptr_t base) noexcept;

  /// Whether it takes every address for a span.
  [[nodiscard]] inline bool takes_all() const noexcept { return overflowed_.load(std::memory_order_relaxed); }

  /// Forgets all. Pre: no other call is under way.
  void clear() noexcept;

 private:
  static constexpr std::uintptr_t nothing = 0;
  static constexpr std::uintptr_t removed = 1;
  static constexpr std::size_t few = 64;                              ///< places in the table itself
  static constexpr std::size_t least_growth = std::size_t{64} << 10;  ///< bytes

  using place = std::atomic<std::uintptr_t>;
  struct places {
    place* at;
    std::size_t mask;
  };

  [[nodiscard]] static inline std::size_t first(std::uintptr_t base, const places& in) noexcept {
    return static_cast<std::size_t>((base * 0x9e3779b97f4a7c15U) >> 32) & in.mask;
  }
  void put(const places& in, std::uintptr_t base) noexcept;

  std::atomic<const places*> current_{nullptr};
  std::atomic<bool> overflowed_{false};
  std::size_t generation_ = 0;  ///< index of the current one in places_
  std::size_t used_ = 0;        ///< places that are not `nothing`
  std::array<places, growths + 1> places_{};
  std::array<place, few> few_{};
};

}  // namespace strata::mem
