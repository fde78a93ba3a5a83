// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <cstdio>

export module tools:terminal;

/// What is known of where a stream goes.
export namespace tools {

struct screen {
  bool terminal = false;     ///< a terminal, not a file or a pipe
  std::size_t columns = 80;  ///< as the terminal says, if it is one
  std::size_t lines = 24;
};

[[nodiscard]] screen screen_of(std::FILE* out) noexcept;

}  // namespace tools
