// SPDX-License-Identifier: Apache-2.0
module;
#include <array>
#include <cstddef>
#include <cstdint>

export module strata.pmr:finding;

import :call_stack;
import :misuse;

import strata.mem;

/// What a debug_adaptor finds wrong: which kind of misuse, where, and what was known of the block at that moment, kept
/// beyond the lock under which it was found.
///
/// Values; nothing throws, locks or allocates.
export namespace strata::pmr {

enum class misuse_kind : std::uint8_t {
  none,
  overrun,
  underrun,
  written_after_free,
  wrong_size,
  wrong_alignment,
  freed_twice,
  inside,
  elsewhere,
  foreign,
  handed_out_twice,
  below,
  books,
  damaged,
  leak,
  tolerated,  ///< no misuse
};

/// One distinct sentence for each.
[[nodiscard]] const char* describe(misuse_kind kind) noexcept;

/// Whether memory was written that must not be, so that nothing there can be relied on any more. Otherwise a call was
/// wrong, and was refused.
[[nodiscard]] bool is_damage(misuse_kind kind) noexcept;

/// What was known of a block at one moment.
struct block_copy {
  const void* pointer = nullptr;
  std::size_t bytes = 0;
  std::size_t alignment = 0;
  std::uint64_t number = 0;
  std::uint32_t made_by = 0;
  std::uint32_t freed_by = 0;
  std::size_t made_depth = 0;
  std::size_t freed_depth = 0;
  mem::book_state state = mem::book_state::vacant;
  std::array<const void*, max_stack_depth> made_at;
  std::array<const void*, max_stack_depth> freed_at;

  /// Points into this.
  [[nodiscard]] block_trace trace() const noexcept;
};

struct finding {
  misuse_kind kind = misuse_kind::none;
  bool knows_block = false;
  const void* where = nullptr;
  const char* detail = nullptr;  ///< null, or outlives this
  std::array<char, 64> other{};  ///< name of the other memory, for elsewhere
  block_copy block;

  [[nodiscard]] explicit operator bool() const noexcept { return kind != misuse_kind::none; }
};

}  // namespace strata::pmr
