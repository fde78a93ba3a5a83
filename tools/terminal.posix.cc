// SPDX-License-Identifier: Apache-2.0
module;
#include <stdio.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <cstdio>

module tools:terminal.posix;

import :terminal;

namespace tools {

screen screen_of(std::FILE* out) noexcept {
  screen result;
  const int descriptor = ::fileno(out);
  result.terminal = ::isatty(descriptor) == 1;
  winsize size{};
  if (result.terminal && ::ioctl(descriptor, TIOCGWINSZ, &size) == 0 && size.ws_col != 0 && size.ws_row != 0) {
    result.columns = size.ws_col;
    result.lines = size.ws_row;
  }
  return result;
}

}  // namespace tools
