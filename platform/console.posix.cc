// SPDX-License-Identifier: Apache-2.0
module;
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <string_view>

module strata.platform:console.posix;

import :console;

namespace strata::platform {

void write_to_console(std::string_view text) noexcept {
  const int kept = errno;
  while (!text.empty()) {
    const ssize_t written = ::write(STDERR_FILENO, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) break;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  errno = kept;
}

}  // namespace strata::platform
