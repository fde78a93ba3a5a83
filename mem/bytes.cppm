// SPDX-License-Identifier: Apache-2.0
module;
#include <bit>
#include <cstddef>
#include <cstdint>

export module strata.mem:bytes;

/// Arithmetic on sizes and addresses that says when it would wrap.
export namespace strata::mem {

/// No object is larger than this, in bytes: pointer differences must be representable.
inline constexpr std::size_t max_object = PTRDIFF_MAX;

/// a + b into `sum`; false, with `sum` unspecified, when it wraps.
[[nodiscard]] inline constexpr bool checked_add(std::size_t a, std::size_t b, std::size_t& sum) noexcept {
  return !__builtin_add_overflow(a, b, &sum);
}

/// a × b into `product`; false, with `product` unspecified, when it wraps.
[[nodiscard]] inline constexpr bool checked_multiply(std::size_t a, std::size_t b, std::size_t& product) noexcept {
  return !__builtin_mul_overflow(a, b, &product);
}

/// Pre: `unit` is a power of two.
[[nodiscard]] inline constexpr std::size_t round_down(std::size_t bytes, std::size_t unit) noexcept {
  return bytes & ~(unit - 1);
}

/// Pre: `unit` is a power of two and bytes + unit - 1 does not wrap. For sizes nobody has checked yet there is
/// checked_round_up.
[[nodiscard]] inline constexpr std::size_t round_up(std::size_t bytes, std::size_t unit) noexcept {
  return (bytes + (unit - 1)) & ~(unit - 1);
}

/// round_up into `rounded`; false, with `rounded` unspecified, when it wraps. Pre: `unit` is a power of two.
[[nodiscard]] inline constexpr bool checked_round_up(std::size_t bytes, std::size_t unit,
                                                     std::size_t& rounded) noexcept {
  if (!checked_add(bytes, unit - 1, rounded)) return false;
  rounded = round_down(rounded, unit);
  return true;
}

/// The address as a number. Pointers go through here so that casts stand in one place.
[[nodiscard]] inline std::uintptr_t address(const volatile void* p) noexcept {
  return reinterpret_cast<std::uintptr_t>(p);
}

/// `p` moved by `bytes`, typed anew. Pre: a T may live there.
template <class T>
[[nodiscard]] inline T* at(void* p, std::ptrdiff_t bytes) noexcept {
  return static_cast<T*>(static_cast<void*>(static_cast<std::byte*>(p) + bytes));
}

template <class T>
[[nodiscard]] inline const T* at(const void* p, std::ptrdiff_t bytes) noexcept {
  return static_cast<const T*>(static_cast<const void*>(static_cast<const std::byte*>(p) + bytes));
}

/// Pre: `alignment` is a power of two.
[[nodiscard]] inline bool is_aligned(const void* p, std::size_t alignment) noexcept {
  return (address(p) & (alignment - 1)) == 0;
}

/// Writes a zero byte to every 4 KiB from `memory` on, so that the OS has a page there. Pre: nothing is kept there yet.
inline void touch(void* memory, std::size_t bytes) noexcept {
  for (std::size_t i = 0; i < bytes; i += 4096) {
    *const_cast<volatile std::byte*>(static_cast<std::byte*>(memory) + i) = std::byte{0};
  }
}

/// Writes zeros over memory that nobody reads afterwards, which a compiler may not leave out.
inline void wipe(void* memory, std::size_t bytes) noexcept {
  __builtin_memset(memory, 0, bytes);  // the library's may be an inline function, which importers cannot link
  asm volatile("" : : "r"(memory) : "memory");
}

/// Pre: n > 0. The exponent of the largest power of two not above n.
[[nodiscard]] inline constexpr unsigned log2_floor(std::size_t n) noexcept {
  return static_cast<unsigned>(std::bit_width(n)) - 1U;
}

}  // namespace strata::mem
