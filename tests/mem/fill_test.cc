// SPDX-License-Identifier: Apache-2.0
// Claims: words lie from the first byte on, whatever the address and the length, and the first byte that differs is
// found; a pad is never zero, odd or ASCII, never like its neighbour, other elsewhere and for another key; nothing
// outside is written.
#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

import strata.mem;

namespace strata::mem {
namespace {

constexpr std::byte untouched{0x55};
constexpr std::uint32_t word = 0xF9012345;

TEST(Fill, LaysWordsFromTheFirstByteOn) {
  std::array<std::byte, 300> memory;
  for (std::size_t start = 1; start < 9; ++start) {
    for (std::size_t bytes = 0; bytes < 200; ++bytes) {
      memory.fill(untouched);
      fill_words(memory.data() + start, bytes, word);
      for (std::size_t i = 0; i < memory.size(); ++i) {
        std::byte expected = untouched;
        if (i >= start && i - start < bytes) {
          std::memcpy(&expected, reinterpret_cast<const char*>(&word) + (i - start) % sizeof word, 1);
        }
        ASSERT_EQ(memory[i], expected) << start << " " << bytes << " " << i;
      }
      ASSERT_EQ(find_other_word(memory.data() + start, bytes, word), nullptr);
    }
  }
}

TEST(Fill, FindsTheFirstByteThatDiffers) {
  std::array<std::byte, 200> memory;
  for (std::size_t wrong = 0; wrong < memory.size(); ++wrong) {
    fill_words(memory.data(), memory.size(), word);
    memory[wrong] ^= std::byte{1};
    memory.back() ^= wrong == memory.size() - 1 ? std::byte{0} : std::byte{2};
    ASSERT_EQ(find_other_word(memory.data(), memory.size(), word), &memory[wrong]);
    ASSERT_EQ(find_other_word(memory.data(), wrong, word), nullptr);
    fill_pad(memory.data(), memory.size(), 7);
    ASSERT_EQ(find_other_pad(memory.data(), memory.size(), 7), nullptr);
    memory[wrong] ^= std::byte{1};
    memory.back() ^= wrong == memory.size() - 1 ? std::byte{0} : std::byte{2};
    ASSERT_EQ(find_other_pad(memory.data(), memory.size(), 7), &memory[wrong]);
  }
}

TEST(Fill, APadIsNeverZeroOddOrAsciiNorLikeItsNeighbour) {
  for (const std::uint64_t key : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{0x0123'4567'89AB'CDEF}}) {
    for (std::uintptr_t at = 0x7F00'0000'0000; at < 0x7F00'0000'0000 + 10'000; ++at) {
      const auto byte = std::to_integer<unsigned>(pad_byte(at, key));
      ASSERT_GE(byte, 0x80U);
      ASSERT_EQ(byte % 2, 0U);
      ASSERT_NE(pad_byte(at, key), pad_byte(at + 1, key));
    }
  }
}

// In 10 000 bytes two pads agree where chance has it, one in 32; not more.
TEST(Fill, APadIsAnotherElsewhereAndForAnotherKey) {
  std::size_t like_shifted = 0;
  std::size_t like_other_key = 0;
  for (std::uintptr_t at = 0x7F00'0000'0000; at < 0x7F00'0000'0000 + 10'000; ++at) {
    if (pad_byte(at, 5) == pad_byte(at + 4096, 5)) ++like_shifted;
    if (pad_byte(at, 5) == pad_byte(at, 6)) ++like_other_key;
  }
  EXPECT_LT(like_shifted, 1000U);
  EXPECT_LT(like_other_key, 1000U);
}

TEST(Fill, APadTouchesNothingElse) {
  std::array<std::byte, 64> memory;
  memory.fill(untouched);
  fill_pad(memory.data() + 3, 20, 9);
  for (std::size_t i = 0; i < memory.size(); ++i) EXPECT_EQ(memory[i] == untouched, i < 3 || i >= 23) << i;
}

}  // namespace
}  // namespace strata::mem
