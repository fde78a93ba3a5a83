// SPDX-License-Identifier: Apache-2.0
module;
#include <array>
#include <cstddef>
#include <cstdint>

export module strata.platform:image;

import :error;

/// The code in this process: which file lies where, so that a profile's addresses can be named by another program; and
/// what must not go while somebody may still call it.
///
/// Nothing here throws or logs, and nothing is locked when a function returns; the loader is asked anew with each call.
///
/// Threads  any thread
/// Signals  no function is for signal handlers
export namespace strata::platform {

/// A stretch of code: an executable segment of the program, a shared library or the OS's own page of functions.
struct image {
  static constexpr std::size_t longest_path = 1024;    // bytes, with the terminating zero; what is longer is cut off
  static constexpr std::size_t longest_build_id = 64;  // bytes; one that is longer is not told

  std::uintptr_t start = 0;       ///< of whole pages
  std::uintptr_t limit = 0;       ///< behind them
  std::uint64_t file_offset = 0;  ///< in bytes, where `start` comes from
  std::array<char, longest_path> path{};
  std::array<unsigned char, longest_build_id> build_id{};
  std::size_t build_id_bytes = 0;  ///< 0: it has none
};

/// Number `index` of the stretches there are, from 0 on, into `out`. False: there are no so many. Numbers stay as they
/// are as long as nothing is loaded or unloaded.
[[nodiscard]] bool image_at(std::size_t index, image& out) noexcept;

/// The image that `inside` points into stays until the process ends, as far as dlclose() is concerned: for what the OS
/// will call some day, a thread's end or a signal's handler, in a library that may be closed before. Nothing has to be
/// done for the program itself. A library takes the loader's lock, and perhaps some of malloc's memory.
/// Refused: ENOENT (no image is there, or the loader does not know it).
[[nodiscard]] os_error keep_loaded(const void* inside) noexcept;

}  // namespace strata::platform
