// SPDX-License-Identifier: Apache-2.0
module;
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

export module strata.mem:size_class;

import :bytes;

/// The sizes small blocks come in: 16 bytes, then
///
///     up to       128     512    1024    64 KiB
///     steps of      8      16      32    eight to each power of two
///
/// A request gets the smallest class that holds it: at most 7 bytes more up to 128 (a block has at least 16), 15 up to
/// 512, 31 up to 1024, and at most an eighth above. The class of a size is one load from a table of bytes, without a
/// branch.
///
/// Alignment: within its steps, every class size is a multiple of the step. A request aligned to no more than the step
/// is rounded up to it, and one aligned to more is, once rounded up to its alignment, a class size itself. So blocks
/// laid side by side from an aligned start are aligned as asked, if last_byte() is what the class is asked for.
export namespace strata::mem {

class size_class {
 public:
  static constexpr std::size_t quantum = 8;
  static constexpr std::size_t smallest = 16;                    ///< bytes
  static constexpr std::size_t largest = std::size_t{64} << 10;  ///< bytes
  static constexpr std::size_t count = 15 + 24 + 16 + 6 * 8;

  /// One less than `bytes` rounded up to `alignment`, a power of two: the last byte of a block that will do. Rounding
  /// down from one less needs no carry, so nothing wraps but zero bytes, to the largest number there is.
  [[nodiscard]] static inline constexpr std::size_t last_byte(std::size_t bytes, std::size_t alignment) noexcept {
    return (bytes - 1) | (alignment - 1);
  }

  /// Smallest class with such a byte. Pre: last_byte < largest.
  [[nodiscard]] static inline std::size_t with(std::size_t last_byte) noexcept { return classes_[last_byte / quantum]; }

  /// Smallest class that holds `bytes`, aligned as any object. Pre: 0 < bytes <= largest.
  [[nodiscard]] static inline std::size_t of(std::size_t bytes) noexcept { return with(bytes - 1); }

  /// Bytes of a block of class `c`. Pre: c < count.
  [[nodiscard]] static inline constexpr std::size_t bytes(std::size_t c) noexcept { return sizes_[c]; }

 private:
  using sizes = std::array<std::uint32_t, count>;
  using classes = std::array<std::uint8_t, largest / quantum>;

  /// From a class of `size` bytes to the next.
  static consteval std::size_t step_from(std::size_t size) noexcept {
    return size < 128 ? 8 : size < 512 ? 16 : size < 1024 ? 32 : std::bit_floor(size) / 8;
  }

  static consteval sizes make_sizes() noexcept {
    sizes made{};
    std::size_t size = smallest;
    for (std::uint32_t& each : made) {
      each = static_cast<std::uint32_t>(size);
      size += step_from(size);
    }
    return made;
  }

  static consteval classes make_classes() noexcept {
    const sizes size = make_sizes();
    classes made{};
    std::size_t c = 0;
    for (std::size_t i = 0; i < made.size(); ++i) {
      if (i * quantum >= size[c]) ++c;
      made[i] = static_cast<std::uint8_t>(c);
    }
    return made;
  }

  static const sizes sizes_;
  static const classes classes_;
};

inline constexpr size_class::sizes size_class::sizes_ = size_class::make_sizes();
inline constexpr size_class::classes size_class::classes_ = size_class::make_classes();

static_assert(size_class::bytes(size_class::count - 1) == size_class::largest);

}  // namespace strata::mem
