// SPDX-License-Identifier: Apache-2.0
module;
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

module strata.platform:machine.solaris;

import :machine;
import :memory;
import :page;

namespace strata::platform {

fact_text limit_origin(const char*) noexcept {
  const memory_status status = memory();
  return fact_text(status.limit < status.managed ? "zone.capped-memory" : "machine");
}

std::size_t page_pools(std::span<page_pool> out, const char*) noexcept {
  std::array<std::size_t, 64> sizes{};
  const std::size_t known = std::min(page_sizes(sizes), sizes.size());
  for (std::size_t i = 0; i != std::min(known, out.size()); ++i) out[i] = {.page = sizes[i]};
  return known;
}

// Nothing is given unasked that could be set.
std::size_t large_page_modes(std::span<large_page_mode>, const char*) noexcept { return 0; }

std::size_t memory_file_systems(std::span<memory_file_system> out, const char*) noexcept {
  // The places where the system puts them. The table of mounts is read by calls that ask the C library for memory.
  std::size_t known = 0;
  for (const char* const place : {"/tmp", "/var/run", "/etc/svc/volatile"}) {
    struct statvfs found{};
    if (::statvfs(place, &found) != 0 || std::string_view(found.f_basetype) != "tmpfs") continue;
    if (known < out.size()) {
      memory_file_system& entry = out[known];
      entry.path = fact_text(place);
      entry.size = std::uint64_t{found.f_blocks} * found.f_frsize;
      entry.used = (std::uint64_t{found.f_blocks} - std::min(found.f_blocks, found.f_bfree)) * found.f_frsize;
    }
    ++known;
  }
  return known;
}

}  // namespace strata::platform
