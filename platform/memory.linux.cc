// SPDX-License-Identifier: Apache-2.0
module;
#include <sys/sysinfo.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <optional>
#include <string_view>

module strata.platform:memory.linux;

import :cgroup;
import :memory;
import :os_file;

namespace strata::platform {
namespace {

constexpr std::uint64_t kUnknown =
    std::numeric_limits<std::uint64_t>::max();  // and no limit: the largest number that can be told

std::uint64_t sum(std::uint64_t a, std::uint64_t b) noexcept { return a > kUnknown - b ? kUnknown : a + b; }
std::uint64_t difference(std::uint64_t a, std::uint64_t b) noexcept { return a > b ? a - b : 0; }
std::uint64_t product(std::uint64_t a, std::uint64_t b) noexcept {
  return b != 0 && a > kUnknown / b ? kUnknown : a * b;
}

/// The host's figures; kUnknown where it does not tell.
struct host {
  std::uint64_t total = kUnknown;
  std::uint64_t available = kUnknown;
  std::uint64_t locked = kUnknown;
};

/// /proc/meminfo: "MemTotal:       24684084 kB". Kernels before 3.14 have no MemAvailable: free pages and page cache
/// stand for it.
host read_meminfo(const char* root) noexcept {
  host found;
  std::uint64_t free = kUnknown;
  std::uint64_t buffers = 0;
  std::uint64_t cached = 0;
  std::uint64_t shared = 0;  // counted in Cached, but no file is behind it
  const struct {
    std::string_view name;
    std::uint64_t& value;
  } wanted[] = {{"MemTotal", found.total}, {"MemAvailable", found.available},
                {"Mlocked", found.locked}, {"MemFree", free},
                {"Buffers", buffers},      {"Cached", cached},
                {"Shmem", shared}};
  line_reader file(path(root).append("/proc/meminfo"));
  for (std::string_view line; file.next(line);) {
    const std::string_view name = cut(line, ':');
    std::uint64_t kib = 0;
    if (!line.ends_with(" kB") || !parse_number(line.substr(0, line.size() - 3), kib)) continue;
    for (const auto& [wanted_name, value] : wanted) {
      if (name == wanted_name) value = product(kib, 1024);
    }
  }
  if (found.available == kUnknown && free != kUnknown)
    found.available = sum(free, sum(buffers, difference(cached, shared)));
  return found;
}

/// What meminfo does not say. The page cache is not in sysinfo's figures, so this `available` errs on the side of less.
void complete(host& figures) noexcept {
  if (figures.total != kUnknown && figures.available != kUnknown) return;
  struct sysinfo info{};
  if (::sysinfo(&info) != 0) return;
  if (figures.total == kUnknown) figures.total = product(info.totalram, info.mem_unit);
  if (figures.available == kUnknown) figures.available = product(sum(info.freeram, info.bufferram), info.mem_unit);
}

/// Memory blocks, the units in which memory is plugged: each has a directory, in use or not.
std::uint64_t read_installed(const char* root) noexcept {
  constexpr std::string_view kDirectory = "/sys/devices/system/memory";
  std::uint64_t block = 0;
  if (!read_number(path(root).append(kDirectory).append("/block_size_bytes"), block, 16)) return 0;
  std::uint64_t blocks = 0;
  name_reader entries(path(root).append(kDirectory));
  for (std::string_view name; entries.next(name);) {
    std::uint64_t number = 0;
    if (name.starts_with("memory") && parse_number(name.substr(6), number)) ++blocks;
  }
  return product(block, blocks);
}

/// "size                            4    7498616832": name, type, value. Without a size there is no cache.
std::optional<foreign_cache> read_arc(const char* root) noexcept {
  foreign_cache arc;
  bool present = false;
  line_reader file(path(root).append("/proc/spl/kstat/zfs/arcstats"));
  for (std::string_view line; file.next(line);) {
    const std::string_view name = cut(line, ' ');
    line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
    cut(line, ' ');  // type
    if (name == "size") present |= parse_number(line, arc.size);
    if (name == "c_min") parse_number(line, arc.minimum);
    if (name == "c_max") parse_number(line, arc.maximum);
  }
  return present ? std::optional(arc) : std::nullopt;
}

/// What one kind of hierarchy calls its files, and the lines of memory.stat that count file pages, descendants
/// included.
struct vocabulary {
  std::string_view controller;
  std::string_view limit;
  std::string_view soft_limit;
  std::string_view current;
  std::string_view inactive;
  std::string_view active;
};
constexpr vocabulary kVersion1{
    "memory", "memory.limit_in_bytes", "", "memory.usage_in_bytes", "total_inactive_file", "total_active_file"};
constexpr vocabulary kVersion2{"", "memory.max", "memory.high", "memory.current", "inactive_file", "active_file"};

/// A limit in a file of the group. "max" is a word and version 1 has a number of its own for no limit, larger than any
/// memory; a file that is missing or garbled sets none either.
std::uint64_t limit_in(const group& of, std::string_view file) noexcept {
  std::uint64_t bytes = kUnknown;
  if (!file.empty()) read_number(of.file(file), bytes);
  return bytes;
}

/// What a group with a limit can still take: up to the limit, with the file pages it would drop for it.
std::uint64_t room_in(const group& of, const vocabulary& word, std::uint64_t limit) noexcept {
  std::uint64_t current = 0;
  if (!read_number(of.file(word.current), current)) return limit;
  std::uint64_t droppable = 0;
  line_reader stat(of.file("memory.stat"));
  for (std::string_view line; stat.next(line);) {
    const std::string_view name = cut(line, ' ');
    std::uint64_t bytes = 0;
    if ((name == word.inactive || name == word.active) && parse_number(line, bytes)) droppable = sum(droppable, bytes);
  }
  return std::min(limit, difference(sum(limit, droppable), current));
}

void narrow(memory_status& status, const char* root, const vocabulary& word) noexcept {
  group level(root, word.controller);
  if (!level.found()) return;
  do {
    const std::uint64_t limit = limit_in(level, word.limit);
    status.soft_limit = std::min(status.soft_limit, limit_in(level, word.soft_limit));
    if (limit >= status.managed) continue;  // the machine is the narrower one: its own figures say more
    if (limit < status.limit) {
      status.limit = limit;
      const path source = level.file(word.limit);
      const std::size_t length = std::min(source.size(), sizeof status.limit_source - 1);
      *std::copy_n(source.c_str(), length, status.limit_source) = '\0';
    }
    status.available = std::min(status.available, room_in(level, word, limit));
  } while (level.up());
}

std::uint64_t known(std::uint64_t bytes) noexcept { return bytes == kUnknown ? 0 : bytes; }

}  // namespace

memory_status memory(const char* root) noexcept {
  host figures = read_meminfo(root);
  complete(figures);

  memory_status status;
  status.managed = status.limit = status.soft_limit = figures.total;
  status.available = figures.available;
  narrow(status, root, kVersion1);
  narrow(status, root, kVersion2);
  status.soft_limit = std::min(status.soft_limit, status.limit);

  status.managed = known(status.managed);
  status.limit = known(status.limit);
  status.soft_limit = known(status.soft_limit);
  status.available = known(status.available);
  if (status.limit != 0) status.available = std::min(status.available, status.limit);
  status.installed = std::max(read_installed(root), status.managed);
  status.locked = known(figures.locked);
  status.cache = read_arc(root);
  return status;
}

}  // namespace strata::platform
