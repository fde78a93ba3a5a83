// SPDX-License-Identifier: Apache-2.0
module;
#include <array>
#include <cstddef>
#include <cstdint>

export module strata.mem:size_class;

import :bytes;

/// The sizes small blocks come in: multiples of 16 up to 256 bytes, then eight to each power of two, up to 64 KiB.
///
/// A request gets the smallest class that holds it: at most 15 bytes more below 256, at most an eighth more above. The
/// class of a size is one load from a table of bytes, without a branch.
///
/// Alignment: every class size is a multiple of any alignment its requests, rounded up to that alignment, can have. For
/// a class size above 256 is a multiple of its step; a request aligned to no more than the step is rounded up to it,
/// and one aligned to more is, once rounded up to its alignment, a class size itself. So blocks laid side by side from
/// an aligned start are aligned as asked.
export namespace strata::mem {

class size_class {
 public:
  static constexpr std::size_t quantum = 16;
  static constexpr std::size_t largest = std::size_t{64} << 10;  ///< bytes
  static constexpr std::size_t count = 16 + 8 * 8;

  /// Class of a request of `bytes`, aligned to no more than the quantum. Pre: bytes <= largest.
  [[nodiscard]] static inline std::size_t of(std::size_t bytes) noexcept {
    return table_[(bytes + (quantum - 1)) / quantum];
  }

  /// The size to ask of() for when `bytes` are wanted aligned to `alignment`; above `largest` when no class will do.
  /// Pre: `alignment` is a power of two, bytes <= largest.
  [[nodiscard]] static inline constexpr std::size_t aligned(std::size_t bytes, std::size_t alignment) noexcept {
    return round_up(bytes == 0 ? 1 : bytes, alignment);
  }

  /// Bytes of a block of class `c`. Pre: c < count.
  [[nodiscard]] static inline constexpr std::size_t bytes(std::size_t c) noexcept {
    if (c < 16) return (c + 1) * quantum;
    const std::size_t doubling = (c - 16) / 8;
    const std::size_t step = std::size_t{32} << doubling;
    return (std::size_t{256} << doubling) + ((c - 16) % 8 + 1) * step;
  }

 private:
  using table = std::array<std::uint8_t, largest / quantum + 1>;

  static consteval table make_table() noexcept {
    table made{};
    std::size_t c = 0;
    for (std::size_t i = 0; i < made.size(); ++i) {
      if (i * quantum > bytes(c)) ++c;
      made[i] = static_cast<std::uint8_t>(c);
    }
    return made;
  }

  static const table table_;
};

inline constexpr size_class::table size_class::table_ = size_class::make_table();

static_assert(size_class::bytes(size_class::count - 1) == size_class::largest);

}  // namespace strata::mem
