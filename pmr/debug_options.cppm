// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <cstdint>

export module strata.pmr:debug_options;

import :misuse;
import :text_sink;

/// What a debug_adaptor does: seven flags, which can be switched while it runs, and options, which cannot.
export namespace strata::pmr {

template <class Upstream>
class debug_adaptor;

/// Flags of a debug_adaptor. Pads and the checks of what comes back are always on.
enum class debug_flags : std::uint8_t {
  none = 0,
  antagonism = 1,  ///< fills memory with garbage that says what it is and whose: see debug_pattern
  paranoia = 2,    ///< checks every block and all layers below at entry and exit of every call
  verbosity = 4,   ///< prints the report and every block at entry and exit of every call
  debugging = 8,   ///< prints internal messages
  logging = 16,    ///< a line at the beginning and one at the end of every call: see call_log
  tolerance = 32,  ///< a single zero byte right after a block is printed, and is no misuse
  noreuse = 64,    ///< what is deallocated is filled and held back, so that writing to it is noticed
};

[[nodiscard]] inline constexpr debug_flags operator|(debug_flags a, debug_flags b) noexcept {
  return static_cast<debug_flags>(static_cast<unsigned>(a) | static_cast<unsigned>(b));
}
[[nodiscard]] inline constexpr debug_flags operator&(debug_flags a, debug_flags b) noexcept {
  return static_cast<debug_flags>(static_cast<unsigned>(a) & static_cast<unsigned>(b));
}
[[nodiscard]] inline constexpr debug_flags operator~(debug_flags a) noexcept {
  return static_cast<debug_flags>(~static_cast<unsigned>(a) & 0x7FU);
}

/// Patterns of antagonism. Every 32-bit word of a stretch is the low half of the block's address, as handed out, XOR one
/// of these: at 0x12345, a new block reads 0xF9012345.
enum class debug_pattern : std::uint32_t {
  freed = 0xF7000000U,        ///< a block that was deallocated, until its memory has another owner
  allocated = 0xF9000000U,    ///< a new block
  unallocated = 0xF1000000U,  ///< came from upstream with the block, and is neither block nor pad: what an alignment
                              ///< above that of the pads leaves in front of them
};

/// The word that fills a stretch of the block at this address.
[[nodiscard]] inline constexpr std::uint32_t word_of(std::uintptr_t block, debug_pattern pattern) noexcept {
  return static_cast<std::uint32_t>(block & 0xFFFF'FFFFU) ^ static_cast<std::uint32_t>(pattern);
}

/// What becomes of a misuse.
enum class on_misuse : std::uint8_t {
  report,  ///< goes to the process's handler (set_misuse_handler), which by default prints and aborts
  raise,   ///< misuse_error is thrown, also by deallocate(); the destructor reports instead
  count,   ///< is counted, and no more
  call,    ///< goes to `handler`, which may throw
};

/// A debug_adaptor in a stack: its options.
struct debug {
  template <class Upstream>
  using layer_over = debug_adaptor<Upstream>;

  /// Gets a misuse; holding no lock, so it may use the memory. May throw, but not out of the destructor.
  using misuse_call = void (*)(void* argument, const misuse& what);

  const char* name = "debug";                      ///< in reports and errors; outlives the layer
  debug_flags flags = debug_flags::none;           ///< at the beginning; see set_flags()
  std::size_t pad = 16;                            ///< bytes watched on either side of a block; rounded up to 16
  std::size_t hold_bytes = std::size_t{16} << 20;  ///< noreuse: most held back, pads included; the oldest go first
  std::size_t remembered = 1024;                   ///< blocks that are gone and still known, for reports
  std::size_t max_blocks = SIZE_MAX;               ///< live and held, at most
  std::size_t stack_depth = 8;                     ///< frames kept of who allocated and who deallocated, up to 32
  std::size_t log_depth = 0;                       ///< frames a log line has, up to 32
  text_sink print{};                               ///< verbosity, debugging and tolerance print here
  text_sink log{};                                 ///< logging writes here
  on_misuse when_misused = on_misuse::report;
  misuse_call handler = nullptr;      ///< for on_misuse::call
  void* argument = nullptr;           ///< for it
  bool live_at_end_is_misuse = true;  ///< report blocks that are alive at destruction
};

}  // namespace strata::pmr

namespace strata::pmr {

// Throws std::invalid_argument, in a sentence, when they cannot be.
void check_debug(const debug& options);

[[nodiscard]] inline constexpr bool has(debug_flags all, debug_flags one) noexcept {
  return (all & one) != debug_flags::none;
}

}  // namespace strata::pmr
