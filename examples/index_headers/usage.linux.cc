// SPDX-License-Identifier: Apache-2.0
module;
#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

module index_headers:usage.linux;

import :usage;

namespace index_headers {
namespace {

/// The figure behind `label` in /proc/self/status, which counts in KiB. ru_maxrss would not do: it outlives exec, and
/// so starts with the peak of whoever started this process. Read without a stream or a heap, because this is called in
/// the middle of a measurement.
std::uint64_t status_bytes(std::string_view label) {
  const int file = ::open("/proc/self/status", O_RDONLY | O_CLOEXEC);
  if (file < 0) return 0;
  char text[4096];
  const ssize_t size = ::read(file, text, sizeof text - 1);
  ::close(file);
  if (size <= 0) return 0;
  text[size] = '\0';
  const std::size_t at = std::string_view(text, static_cast<std::size_t>(size)).find(label);
  return at == std::string_view::npos ? 0 : std::strtoull(text + at + label.size(), nullptr, 10) * 1024;
}

}  // namespace

std::uint64_t thread_cpu_ns() noexcept {
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000U + static_cast<std::uint64_t>(now.tv_nsec);
}

std::uint64_t resident_bytes() noexcept { return status_bytes("\nVmRSS:"); }

std::uint64_t peak_resident_bytes() noexcept { return status_bytes("\nVmHWM:"); }

}  // namespace index_headers
