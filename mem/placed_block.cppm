// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <cstdint>

export module strata.mem:placed_block;

import :block;
import :bytes;

/// How a block is found from an address that lies inside its payload, and that was handed out in its place because no
/// multiple of 16 would do: 4 modulo 8, say (Plan 9's filler words).
///
///            +0     +8      +24 or more        p
///   | word | way  | free   | … | filler       | as asked for … | word of the next block
///
/// `way` and the filler both say how far p is from the payload's start; the filler is sealed like a block's word, with
/// another key, and stands where p's alignment wants it, so it is read and written as bytes. Payloads are multiples of 16
/// and p never is: which of the two an address is, it says itself. A freed block's links and size are written over the
/// way, not over the filler, so that a second free still finds the block.
export namespace strata::mem {

// A heap's words may lie in hidden memory (:inspector), where none but the heap looks.
#pragma clang attribute push(__attribute__((no_sanitize("address"))), apply_to = function)

/// Least bytes from a payload's start to an address handed out inside it.
inline constexpr std::size_t least_way = 24;

/// Whether `p` can only have been handed out inside a payload.
[[nodiscard]] inline bool is_inside(const void* p) noexcept { return !is_aligned(p, block::unit); }

/// The filler of `p`, were it one. No flag is set in it.
[[nodiscard]] inline std::uint64_t filler_of(const void* p, std::size_t way, std::uint64_t key) noexcept {
  return block::sealed_at(address(p) - 8, way << 4U, ~key);
}

inline void write_filler(void* p, std::size_t way, std::uint64_t key) noexcept {
  const std::uint64_t filler = filler_of(p, way, key);
  __builtin_memcpy(at<std::byte>(p, -8), &filler, sizeof(filler));
}

/// Bytes from the payload's start to `p`. Pre: `p` was handed out inside a payload.
[[nodiscard]] inline std::size_t way_to(const void* p) noexcept {
  std::uint64_t filler = 0;
  __builtin_memcpy(&filler, at<std::byte>(p, -8), sizeof(filler));
  return (filler & ~block::seal_mask) >> 4U;
}

/// Whether the bytes in front of `p` are a filler. Pre: they may be read.
[[nodiscard]] inline bool has_filler(const void* p, std::uint64_t key) noexcept {
  std::uint64_t filler = 0;
  __builtin_memcpy(&filler, at<std::byte>(p, -8), sizeof(filler));
  const std::size_t way = way_to(p);
  return way >= least_way && filler == filler_of(p, way, key);
}

/// The block that `p` was handed out from. Pre: it was, and the block is used.
[[nodiscard]] inline block* block_at(void* p) noexcept {
  return is_inside(p) ? block::of(at<std::byte>(p, -static_cast<std::ptrdiff_t>(way_to(p)))) : block::of(p);
}
[[nodiscard]] inline const block* block_at(const void* p) noexcept {
  return is_inside(p) ? block::of(at<std::byte>(p, -static_cast<std::ptrdiff_t>(way_to(p)))) : block::of(p);
}

#pragma clang attribute pop

}  // namespace strata::mem
