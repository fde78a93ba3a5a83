// SPDX-License-Identifier: Apache-2.0
module;
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string_view>

module strata.platform:mappings.linux;

import :mappings;
import :os_file;

namespace strata::platform {

std::size_t mapping_limit(const char* root) noexcept {
  std::uint64_t limit = 65530;
  read_number(path(root).append("/proc/sys/vm/max_map_count"), limit);
  return static_cast<std::size_t>(std::min<std::uint64_t>(limit, std::numeric_limits<std::size_t>::max()));
}

std::size_t mappings_now(const char* root) noexcept {
  // One line each. Not line by line: there may be very many.
  const descriptor file(path(root).append("/proc/self/maps"), 0);
  if (file.get() < 0) return 0;
  std::size_t lines = 0;
  char text[16384];
  for (;;) {
    const ssize_t got = ::read(file.get(), text, sizeof text);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return 0;  // half a figure would be a false one
    if (got == 0) return lines;
    lines += static_cast<std::size_t>(std::count(text, text + got, '\n'));
  }
}

}  // namespace strata::platform
