// SPDX-License-Identifier: Apache-2.0
module;
#include <sys/statvfs.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <limits>
#include <span>
#include <string_view>

#include "absl/functional/function_ref.h"

module strata.platform:facts.linux;

import :facts;
import :large_page;
import :lock;
import :memory;
import :os_file;
import :page;

namespace strata::platform {
namespace {

/// Shows facts of one group.
class group_of_facts {
 public:
  group_of_facts(absl::FunctionRef<void(const fact&)> visitor, std::string_view group)
      : visitor_(visitor), group_(group) {}

  void bytes(std::string_view name, std::uint64_t number) { visitor_({group_, name, fact_unit::bytes, number}); }
  void known_bytes(std::string_view name, std::uint64_t number) {
    if (number != 0) bytes(name, number);
  }
  void count(std::string_view name, std::uint64_t number) { visitor_({group_, name, fact_unit::count, number}); }
  void text(std::string_view name, std::string_view words) { visitor_({group_, name, fact_unit::text, 0, words}); }

 private:
  absl::FunctionRef<void(const fact&)> visitor_;
  std::string_view group_;
};

void tell_memory(absl::FunctionRef<void(const fact&)> visitor, const memory_status& now) {
  group_of_facts memory(visitor, "memory");
  memory.known_bytes("installed", now.installed);
  memory.known_bytes("managed", now.managed);
  memory.known_bytes("available", now.available);

  group_of_facts limit(visitor, "limit");
  limit.known_bytes("hard", now.limit);
  limit.known_bytes("soft", now.soft_limit);
  limit.text("set by", now.limit_source[0] != '\0' ? now.limit_source : "the machine: no group sets a lower one");

  if (!now.cache) return;
  group_of_facts cache(visitor, "cache");
  cache.bytes("arc size", now.cache->size);
  cache.bytes("arc minimum", now.cache->minimum);
  cache.bytes("arc maximum", now.cache->maximum);
}

void tell_locked(absl::FunctionRef<void(const fact&)> visitor, const char* root, const memory_status& now) {
  group_of_facts locked(visitor, "locked");
  const lock_status process = locks(root);
  locked.bytes("machine", now.locked);
  locked.bytes("process", process.locked);
  if (process.limit == lock_status::unlimited) {
    locked.text("process limit", "none");
  } else {
    locked.bytes("process limit", process.limit);
  }
}

void tell_pages(absl::FunctionRef<void(const fact&)> visitor, const char* root) {
  group_of_facts pages(visitor, "pages");
  std::array<std::size_t, 32> sizes{};
  const std::size_t count = std::min(page_sizes(sizes, root), sizes.size());
  pages.bytes("base", page_size());
  pages.known_bytes("large", large_page_size(root));
  for (const std::size_t size : std::span(sizes).first(count).subspan(1)) {
    char name[48];
    std::snprintf(name, sizeof name, "%zu kB", size / 1024);
    pages.bytes(name, size);
  }

  group_of_facts pools(visitor, "pools");
  for (const std::size_t size : std::span(sizes).first(count).subspan(1)) {
    const struct {
      const char* file;
      const char* word;
    } figures[] = {{"nr_hugepages", "pages"}, {"free_hugepages", "free"}, {"resv_hugepages", "promised"}};
    for (const auto& [file, word] : figures) {
      char name[64];
      std::snprintf(name, sizeof name, "%zu kB %s", size / 1024, word);
      char where[96];
      std::snprintf(where, sizeof where, "/sys/kernel/mm/hugepages/hugepages-%zukB/%s", size / 1024, file);
      std::uint64_t number = 0;
      if (read_number(path(root).append(where), number)) pools.count(name, number);
    }
  }
}

/// "always [madvise] never": the one in brackets is chosen.
void tell_policies(absl::FunctionRef<void(const fact&)> visitor, const char* root) {
  group_of_facts policy(visitor, "policy");
  const struct {
    std::string_view name;
    std::string_view file;
  } choices[] = {{"transparent large pages", "/sys/kernel/mm/transparent_hugepage/enabled"},
                 {"large pages at first touch", "/sys/kernel/mm/transparent_hugepage/defrag"},
                 {"large pages of shared memory", "/sys/kernel/mm/transparent_hugepage/shmem_enabled"}};
  for (const auto& [name, file] : choices) {
    line_reader reader(path(root).append(file));
    std::string_view line;
    if (!reader.next(line)) continue;
    cut(line, '[');
    if (const std::string_view chosen = cut(line, ']'); !chosen.empty()) policy.text(name, chosen);
  }
  const struct {
    std::string_view name;
    std::string_view file;
  } numbers[] = {{"overcommit", "/proc/sys/vm/overcommit_memory"}, {"most mappings", "/proc/sys/vm/max_map_count"}};
  for (const auto& [name, file] : numbers) {
    std::uint64_t number = 0;
    if (read_number(path(root).append(file), number)) policy.count(name, number);
  }
}

/// Limits on SysV segments, and how many there are: a line each behind the heading.
void tell_shared(absl::FunctionRef<void(const fact&)> visitor, const char* root) {
  group_of_facts shared(visitor, "shared");
  std::uint64_t number = 0;
  if (read_number(path(root).append("/proc/sys/kernel/shmmax"), number)) shared.bytes("largest segment", number);
  if (read_number(path(root).append("/proc/sys/kernel/shmall"), number)) {
    const std::uint64_t most = std::numeric_limits<std::uint64_t>::max();
    shared.bytes("all segments", number > most / page_size() ? most : number * page_size());
  }
  if (read_number(path(root).append("/proc/sys/kernel/shmmni"), number)) shared.count("most segments", number);
  line_reader segments(path(root).append("/proc/sysvipc/shm"));
  std::string_view line;
  if (!segments.next(line)) return;
  for (number = 0; segments.next(line); ++number) {
  }
  shared.count("segments", number);
}

/// A path of mountinfo, where blanks and the like are written as \040.
std::string_view decoded(std::string_view text, std::span<char> into) noexcept {
  std::size_t used = 0;
  for (std::size_t i = 0; i < text.size() && used < into.size(); ++i) {
    std::uint64_t code = 0;
    if (text[i] == '\\' && parse_number(text.substr(i + 1, 3), code, 8) && code < 256) {
      into[used++] = static_cast<char>(code);
      i += 3;
    } else {
      into[used++] = text[i];
    }
  }
  return {into.data(), used};
}

/// "36 35 0:31 / /dev/shm rw,nosuid - tmpfs tmpfs rw,size=65536k": the fifth word is where, the first behind the dash
/// what.
void tell_tmpfs(absl::FunctionRef<void(const fact&)> visitor, const char* root) {
  group_of_facts tmpfs(visitor, "tmpfs");
  line_reader mounts(path(root).append("/proc/self/mountinfo"));
  for (std::string_view line; mounts.next(line);) {
    for (int word = 0; word < 4; ++word) cut(line, ' ');
    const std::string_view where = cut(line, ' ');
    const std::size_t dash = line.find(" - ");
    if (dash == std::string_view::npos) continue;
    line.remove_prefix(dash + 3);
    if (cut(line, ' ') != "tmpfs") continue;
    char plain[path::capacity];
    const std::string_view name = decoded(where, plain);
    const path full = path(root).append(name);
    struct statvfs size{};
    int result = -1;
    do {
      result = full.fits() ? ::statvfs(full.c_str(), &size) : -1;
    } while (result != 0 && full.fits() && errno == EINTR);
    if (result != 0) continue;
    char label[path::capacity + 16];
    const auto told = [&](const char* what, std::uint64_t blocks) {
      const int length =
          std::snprintf(label, sizeof label, "%.*s %s", static_cast<int>(name.size()), name.data(), what);
      tmpfs.bytes({label, static_cast<std::size_t>(length)}, blocks * size.f_frsize);
    };
    told("size", size.f_blocks);
    told("free", size.f_bavail);
  }
}

}  // namespace

void facts(absl::FunctionRef<void(const fact&)> visitor, const char* root) {
  const memory_status now = memory(root);
  tell_memory(visitor, now);
  tell_locked(visitor, root, now);
  tell_pages(visitor, root);
  tell_policies(visitor, root);
  tell_shared(visitor, root);
  tell_tmpfs(visitor, root);
}

}  // namespace strata::platform
