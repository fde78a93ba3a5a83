// SPDX-License-Identifier: Apache-2.0
module;
#include <errno.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>

module strata.platform:large_page.solaris;

import :error;
import :large_page;
import :page;

namespace strata::platform {

std::size_t large_page_size(const char*) noexcept {
  std::size_t sizes[2] = {};
  return page_sizes(sizes) > 1 ? sizes[1] : 0;
}

// There are no pools here: large pages come by advice, or with a segment (ism).
mapping map_large(std::size_t, std::size_t) noexcept { return {nullptr, {"mmap", EINVAL}}; }

os_error advise_large(void* base, std::size_t bytes) noexcept {
  // Whole pages of that size, aligned, or the call is refused altogether.
  const std::size_t large = large_page_size();
  if (large == 0) return {"memcntl", EINVAL};
  const std::size_t head = (large - reinterpret_cast<std::uintptr_t>(base) % large) % large;
  if (bytes < head || bytes - head < large) return success;
  const std::size_t whole = (bytes - head) / large * large;
  memcntl_mha advice{};
  advice.mha_cmd = MHA_MAPSIZE_VA;
  advice.mha_flags = 0;
  advice.mha_pagesize = large;
  const caddr_t from = static_cast<caddr_t>(base) + head;
  return ::memcntl(from, whole, MC_HAT_ADVISE, reinterpret_cast<caddr_t>(&advice), 0, 0) == 0
             ? success
             : os_error{"memcntl", errno};
}

// What is there is not copied together on demand.
os_error collapse(void*, std::size_t) noexcept { return {"memcntl", EINVAL}; }

os_error backing_of(const void* base, std::size_t bytes, backing& found, const char*) noexcept {
  found = {};
  const std::size_t page = page_size();
  const uint_t request = MEMINFO_VPAGESIZE;
  std::uint64_t addresses[MAX_MEMINFO_CNT];
  std::uint64_t answers[MAX_MEMINFO_CNT];
  uint_t validity[MAX_MEMINFO_CNT];
  for (std::size_t done = 0; done != bytes;) {
    const std::size_t count = std::min((bytes - done) / page, std::size(addresses));
    for (std::size_t i = 0; i != count; ++i) addresses[i] = reinterpret_cast<std::uintptr_t>(base) + done + i * page;
    if (::meminfo(addresses, static_cast<int>(count), &request, 1, answers, validity) != 0) return {"meminfo", errno};
    for (std::size_t i = 0; i != count; ++i) {
      // Bit 0: there is a page; bit 1: its size is told. A page that was not touched has no answer.
      if ((validity[i] & 3U) != 3U) continue;
      found.resident += page;
      if (answers[i] > page) found.large += page;
    }
    done += count * page;
  }
  return success;
}

}  // namespace strata::platform
