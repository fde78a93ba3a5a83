// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <cstdint>

export module strata.mem:fill;

import :bytes;

/// Patterns in memory that nobody uses: written once, and compared later to see whether somebody did.
///
///   words   every 32-bit word is the same, from the first byte on; a rest of one to three bytes has the word's first
///   pads    every byte follows from its own address and a key
///
/// A pad byte is even and at least 0x80, and differs from both its neighbours: so a single byte written over it is
/// noticed for certain when it is zero, odd or ASCII, else in 31 of 32 cases; and of one value written over two bytes or
/// more, at least one is noticed. A word is for reading in a debugger, a pad for finding what was written.
///
/// Any thread; nothing throws or allocates; O(bytes).
export namespace strata::mem {

void fill_words(void* memory, std::size_t bytes, std::uint32_t word) noexcept;
/// The first byte that is not what fill_words() wrote, or null.
[[nodiscard]] const std::byte* find_other_word(const void* memory, std::size_t bytes, std::uint32_t word) noexcept;

[[nodiscard]] inline std::byte pad_byte(std::uintptr_t where, std::uint64_t key) noexcept {
  std::uint64_t hash = ((std::uint64_t{where} >> 3U) ^ key) * 0x9E37'79B9'7F4A'7C15U;
  hash = (hash ^ (hash >> 32U)) * 0xBF58'476D'1CE4'E5B9U;  // as splitmix64 does, which is enough for eight even bytes
  const std::uint64_t its = (hash ^ (hash >> 31U)) >> (8U * (where & 7U));
  return static_cast<std::byte>(0x80U | (its & 0x7CU) | ((where & 1U) << 1U));
}

void fill_pad(void* memory, std::size_t bytes, std::uint64_t key) noexcept;
/// The first byte that is not what fill_pad() wrote there, or null.
[[nodiscard]] const std::byte* find_other_pad(const void* memory, std::size_t bytes, std::uint64_t key) noexcept;

}  // namespace strata::mem
