// SPDX-License-Identifier: Apache-2.0
module;
#include <sys/statvfs.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

module strata.platform:machine.linux;

import :cgroup;
import :machine;
import :memory;
import :os_file;
import :page;

namespace strata::platform {
namespace {

constexpr std::string_view kTransparent = "/sys/kernel/mm/transparent_hugepage";

/// The size of a "hugepages-2048kB", bytes; 0 for any other name.
std::uint64_t size_in_name(std::string_view name) noexcept {
  constexpr std::string_view kPrefix = "hugepages-";
  constexpr std::string_view kSuffix = "kB";
  std::uint64_t kib = 0;
  if (!name.starts_with(kPrefix) || !name.ends_with(kSuffix)) return 0;
  name = name.substr(kPrefix.size(), name.size() - kPrefix.size() - kSuffix.size());
  if (!parse_number(name, kib) || kib >= std::uint64_t{1} << 53) return 0;
  return std::has_single_bit(kib << 10) ? kib << 10 : 0;
}

/// Calls `each(file, bytes)` for the limit of the group and of every ancestor.
template <typename Each>
void for_each_limit(const char* root, std::string_view controller, std::string_view name, const Each& each) noexcept {
  group level(root, controller);
  if (!level.found()) return;
  do {
    const path file = level.file(name);
    std::uint64_t bytes = 0;
    if (read_number(file, bytes)) each(file.view(), bytes);
  } while (level.up());
}

/// mountinfo writes space, tab, newline and backslash as \040 and so on.
fact_text unescaped(std::string_view text) noexcept {
  fact_text plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    std::uint64_t octal = 0;
    if (c == '\\' && i + 3 < text.size() && parse_number(text.substr(i + 1, 3), octal, 8)) {
      c = static_cast<char>(octal & 0x7F);
      i += 3;
    }
    plain.append({&c, 1});
  }
  return plain;
}

/// The chosen word of "always [madvise] never"; all of a line without brackets.
std::string_view chosen(std::string_view line) noexcept {
  const auto begin = line.find('[');
  const auto end = line.find(']', begin);
  return end == line.npos ? line : line.substr(begin + 1, end - begin - 1);
}

std::uint64_t pages_in(const path& directory, std::string_view file) noexcept {
  std::uint64_t count = 0;
  read_number(path(directory).append(file), count);
  return count;
}

/// Size and use; a place that cannot be asked has neither.
void measure(const char* root, memory_file_system& of) noexcept {
  const path place = path(root).append(of.path.view());
  struct statvfs known{};
  int result = 0;
  do {
    result = ::statvfs(place.c_str(), &known);
  } while (result != 0 && errno == EINTR);
  if (result != 0 || known.f_frsize == 0) return;
  of.size = std::uint64_t{known.f_blocks} * known.f_frsize;
  of.used = (std::uint64_t{known.f_blocks} - std::min(known.f_blocks, known.f_bfree)) * known.f_frsize;
}

}  // namespace

fact_text limit_origin(const char* root) noexcept {
  // The file that says the number; ancestors come later, so that the nearest of equal ones is told.
  const memory_status status = memory(root);
  fact_text origin("machine");
  std::uint64_t smallest = status.managed;
  for (const auto& [controller, name] :
       {std::pair<std::string_view, std::string_view>{"memory", "memory.limit_in_bytes"}, {"", "memory.max"}}) {
    for_each_limit(root, controller, name, [&](std::string_view file, std::uint64_t bytes) {
      if (bytes >= smallest) return;
      smallest = bytes;
      origin = fact_text(file.substr(std::strlen(root)));
    });
  }
  return origin;
}

std::size_t page_pools(std::span<page_pool> out, const char* root) noexcept {
  std::array<std::size_t, 64> sizes{};
  const std::size_t known = std::min(page_sizes(sizes, root), sizes.size());
  for (std::size_t i = 0; i != std::min(known, out.size()); ++i) out[i] = {.page = sizes[i]};
  name_reader pools(path(root).append("/sys/kernel/mm/hugepages"));
  for (std::string_view name; pools.next(name);) {
    const std::uint64_t size = size_in_name(name);
    for (page_pool& pool : out.first(std::min(known, out.size()))) {
      if (size == 0 || pool.page != size || size == page_size()) continue;
      const path directory = path(root).append("/sys/kernel/mm/hugepages/").append(name);
      pool.is_pool = true;
      pool.total = pages_in(directory, "/nr_hugepages");
      pool.free = std::min(pages_in(directory, "/free_hugepages"), pool.total);
      pool.reserved = std::min(pages_in(directory, "/resv_hugepages"), pool.free);
    }
  }
  return known;
}

std::size_t large_page_modes(std::span<large_page_mode> out, const char* root) noexcept {
  std::size_t known = 0;
  const auto tell = [&](const path& file, std::string_view choice) {
    line_reader lines(file);
    std::string_view line;
    if (!lines.next(line)) return;
    if (known < out.size()) out[known] = {fact_text(choice), fact_text(chosen(line))};
    ++known;
  };
  for (const std::string_view name : {"enabled", "defrag", "shmem_enabled"})
    tell(path(root).append(kTransparent).append("/").append(name), name);
  // Kernels from 6.8 on have a setting for each size between the base page and the large page.
  std::uint64_t sizes = 0;  // a set: each is a power of two, its own bit
  name_reader names(path(root).append(kTransparent));
  for (std::string_view name; names.next(name);) sizes |= size_in_name(name);
  for (; sizes != 0; sizes &= sizes - 1) {
    fact_text choice("hugepages-");
    char digits[24];
    char* end = digits + sizeof digits;
    char* begin = end;
    for (std::uint64_t kib = (sizes & ~(sizes - 1)) >> 10; kib != 0; kib /= 10)
      *--begin = static_cast<char>('0' + kib % 10);
    choice.append({begin, static_cast<std::size_t>(end - begin)}).append("kB");
    tell(path(root).append(kTransparent).append("/").append(choice.view()).append("/enabled"), choice.view());
  }
  return known;
}

std::size_t memory_file_systems(std::span<memory_file_system> out, const char* root) noexcept {
  // "25 24 0:23 / /dev/shm rw,relatime shared:9 - tmpfs tmpfs rw,size=24684084k": the place is the fifth word, the type
  // stands behind the dash. A place may be mounted over; what shows is one file system.
  std::size_t known = 0;
  line_reader file(path(root).append("/proc/self/mountinfo"));
  for (std::string_view line; file.next(line);) {
    for (int skipped = 0; skipped != 4; ++skipped) cut(line, ' ');
    const std::string_view place = cut(line, ' ');
    const auto dash = line.find(" - ");
    if (place.empty() || dash == line.npos) continue;
    line.remove_prefix(dash + 3);
    const std::string_view type = cut(line, ' ');
    if (type != "tmpfs" && type != "ramfs") continue;
    memory_file_system found;
    found.path = unescaped(place);
    const auto listed = out.first(std::min(known, out.size()));
    if (std::any_of(listed.begin(), listed.end(), [&](const auto& o) { return o.path.view() == found.path.view(); }))
      continue;
    measure(root, found);
    if (known < out.size()) out[known] = found;
    ++known;
  }
  return known;
}

}  // namespace strata::platform
