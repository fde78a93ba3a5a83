// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

module strata.mem:fill.impl;

import :bytes;
import :fill;

namespace strata::mem {

namespace {

constexpr std::size_t stretch = 64;  ///< bytes compared or copied at a time

std::array<std::byte, stretch> stretch_of(std::uint32_t word) noexcept {
  std::array<std::byte, stretch> whole;
  for (std::size_t i = 0; i < stretch; i += sizeof word) std::memcpy(whole.data() + i, &word, sizeof word);
  return whole;
}

}  // namespace

void fill_words(void* memory, std::size_t bytes, std::uint32_t word) noexcept {
  const auto pattern = stretch_of(word);
  auto* to = static_cast<std::byte*>(memory);
  for (; bytes >= stretch; bytes -= stretch, to += stretch) std::memcpy(to, pattern.data(), stretch);
  std::memcpy(to, pattern.data(), bytes);
}

const std::byte* find_other_word(const void* memory, std::size_t bytes, std::uint32_t word) noexcept {
  const auto pattern = stretch_of(word);
  const auto* from = static_cast<const std::byte*>(memory);
  while (bytes != 0) {
    const std::size_t piece = std::min(bytes, stretch);
    if (std::memcmp(from, pattern.data(), piece) != 0) {
      return std::mismatch(from, from + piece, pattern.begin()).first;
    }
    from += piece;
    bytes -= piece;
  }
  return nullptr;
}

void fill_pad(void* memory, std::size_t bytes, std::uint64_t key) noexcept {
  auto* const to = static_cast<std::byte*>(memory);
  for (std::size_t i = 0; i < bytes; ++i) to[i] = pad_byte(address(to + i), key);
}

const std::byte* find_other_pad(const void* memory, std::size_t bytes, std::uint64_t key) noexcept {
  const auto* const from = static_cast<const std::byte*>(memory);
  for (std::size_t i = 0; i < bytes; ++i) {
    if (from[i] != pad_byte(address(from + i), key)) return from + i;
  }
  return nullptr;
}

}  // namespace strata::mem
