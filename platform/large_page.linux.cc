// SPDX-License-Identifier: Apache-2.0
module;
#include <fcntl.h>
#include <linux/ioctl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string_view>

module strata.platform:large_page.linux;

import :error;
import :large_page;
import :os_file;
import :page;

// Names that headers older than the kernel lack. A kernel that lacks them says EINVAL, or ENOTTY.
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#ifndef MAP_HUGE_SHIFT
#define MAP_HUGE_SHIFT 26
#endif

namespace strata::platform {
namespace {

// PAGEMAP_SCAN (Linux 6.7), as the kernel's documentation of pagemap gives it: arguments and answers.
struct scanned_run {
  std::uint64_t start;
  std::uint64_t end;
  std::uint64_t categories;
};
struct scan {
  std::uint64_t size;
  std::uint64_t flags;
  std::uint64_t start;
  std::uint64_t end;
  std::uint64_t walk_end;
  std::uint64_t runs;
  std::uint64_t run_count;
  std::uint64_t max_pages;
  std::uint64_t inverted;
  std::uint64_t all_of;
  std::uint64_t any_of;
  std::uint64_t returned;
};
constexpr unsigned long kScan = _IOWR('f', 16, scan);
constexpr std::uint64_t kPresent = 1 << 3;
constexpr std::uint64_t kHuge = 1 << 6;

os_error answer(const char* call, int result) noexcept { return result == 0 ? success : os_error{call, errno}; }

std::uint64_t number_of(const void* p) noexcept { return reinterpret_cast<std::uintptr_t>(p); }

os_error scan_pages(const void* base, std::size_t bytes, backing& found, const char* root) noexcept {
  const descriptor pagemap(path(root).append("/proc/self/pagemap"), O_RDONLY);
  if (pagemap.get() < 0) return {"open", errno};
  scanned_run runs[64];
  scan request{};
  request.size = sizeof request;
  request.start = number_of(base);
  request.end = request.start + bytes;
  request.runs = number_of(runs);
  request.run_count = std::size(runs);
  request.all_of = kPresent;
  request.returned = kPresent | kHuge;
  while (request.start < request.end) {
    const int count = ::ioctl(pagemap.get(), kScan, &request);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return {"ioctl", errno};
    for (int i = 0; i < count; ++i) {
      const std::uint64_t length = runs[i].end - runs[i].start;
      found.resident += length;
      if ((runs[i].categories & kHuge) != 0) found.large += length;
    }
    if (request.walk_end <= request.start) break;
    request.start = request.walk_end;
  }
  return success;
}

// "7f0000000000-7f0000200000 rw-p …" begins a mapping; "AnonHugePages:      2048 kB" and the like say what it holds. What
// they say of a mapping that is only partly in the range cannot be told apart: its share counts at most.
os_error read_smaps(const void* base, std::size_t bytes, backing& found, const char* root) noexcept {
  const std::uint64_t begin = number_of(base);
  const std::uint64_t end = begin + bytes;
  std::uint64_t share = 0;  // bytes of the current mapping in the range
  std::uint64_t resident = 0;
  std::uint64_t large = 0;
  bool any = false;
  const auto close = [&] {
    found.resident += std::min(resident, share);
    found.large += std::min(large, share);
    resident = large = 0;
  };
  line_reader file(path(root).append("/proc/self/smaps"));
  for (std::string_view line; file.next(line);) {
    any = true;
    std::string_view rest = line;
    const std::string_view word = cut(rest, ' ');
    std::string_view last = word;
    const std::string_view first = cut(last, '-');
    std::uint64_t from = 0;
    std::uint64_t to = 0;
    if (!word.ends_with(':') && parse_number(first, from, 16) && parse_number(last, to, 16)) {
      close();
      share = std::max(from, begin) < std::min(to, end) ? std::min(to, end) - std::max(from, begin) : 0;
      continue;
    }
    std::uint64_t kib = 0;
    if (share == 0 || !rest.ends_with(" kB") || !parse_number(rest.substr(0, rest.size() - 3), kib)) continue;
    const std::uint64_t size = std::min(kib, std::uint64_t{1} << 53) << 10;
    if (word == "Rss:") resident += size;
    if (word == "Private_Hugetlb:" || word == "Shared_Hugetlb:") {
      resident += size;  // not in Rss
      large += size;
    }
    if (word == "AnonHugePages:" || word == "ShmemPmdMapped:" || word == "FilePmdMapped:") large += size;
  }
  close();
  return any ? success : os_error{"open", ENOENT};
}

}  // namespace

std::size_t large_page_size(const char* root) noexcept {
  std::uint64_t bytes = 0;
  read_number(path(root).append("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size"), bytes);
  return std::has_single_bit(bytes) && bytes > page_size() && bytes <= std::uint64_t{1} << 40
             ? static_cast<std::size_t>(bytes)
             : 0;
}

// Never MAP_NORESERVE: that would succeed with an empty pool, and kill at the first touch.
mapping map_large(std::size_t bytes, std::size_t page) noexcept {
  const int size_flag = std::countr_zero(page) << MAP_HUGE_SHIFT;
  void* const base =
      ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | size_flag, -1, 0);
  return base == MAP_FAILED ? mapping{nullptr, {"mmap", errno}} : mapping{base, success};
}

os_error advise_large(void* base, std::size_t bytes) noexcept {
  return answer("madvise", ::madvise(base, bytes, MADV_HUGEPAGE));
}

os_error collapse(void* base, std::size_t bytes) noexcept {
  return answer("madvise", ::madvise(base, bytes, MADV_COLLAPSE));
}

os_error backing_of(const void* base, std::size_t bytes, backing& found, const char* root) noexcept {
  found = {};
  if (!scan_pages(base, bytes, found, root).failed()) return success;
  found = {};
  return read_smaps(base, bytes, found, root);
}

}  // namespace strata::platform
