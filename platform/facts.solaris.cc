// SPDX-License-Identifier: Apache-2.0
module;
#include <sys/statvfs.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

#include "absl/functional/function_ref.h"

module strata.platform:facts.solaris;

import :facts;
import :large_page;
import :lock;
import :memory;
import :page;
import :resource_control;

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
  limit.text("set by", now.limit_source[0] != '\0' ? now.limit_source : "the machine: no zone sets a lower one");

  if (!now.cache) return;
  group_of_facts cache(visitor, "cache");
  cache.bytes("arc size", now.cache->size);
  cache.bytes("arc minimum", now.cache->minimum);
  cache.bytes("arc maximum", now.cache->maximum);
}

void tell_locked(absl::FunctionRef<void(const fact&)> visitor, const memory_status& now) {
  group_of_facts locked(visitor, "locked");
  locked.bytes("machine", now.locked);
  const lock_status process = locks();
  if (process.limit == lock_status::unlimited) {
    locked.text("process limit", "none");
  } else {
    locked.bytes("process limit", process.limit);
  }
}

void tell_pages(absl::FunctionRef<void(const fact&)> visitor) {
  group_of_facts pages(visitor, "pages");
  std::array<std::size_t, 32> sizes{};
  const std::size_t count = std::min(page_sizes(sizes), sizes.size());
  pages.bytes("base", page_size());
  pages.known_bytes("large", large_page_size());
  for (const std::size_t size : std::span(sizes).first(count).subspan(1)) {
    char name[32];
    char* const end = std::to_chars(name, name + 24, size / 1024).ptr;
    std::memcpy(end, " kB", 3);
    pages.bytes({name, static_cast<std::size_t>(end - name) + 3}, size);
  }
}

void tell_shared(absl::FunctionRef<void(const fact&)> visitor) {
  group_of_facts shared(visitor, "shared");
  if (const std::uint64_t bytes = smallest_value("project.max-shm-memory"); bytes != unlimited)
    shared.bytes("all segments", bytes);
  if (const std::uint64_t ids = smallest_value("project.max-shm-ids"); ids != unlimited)
    shared.count("most segments", ids);
}

/// The places where the system mounts file systems that are memory. The table of mounts is read by calls that ask the C
/// library for memory.
void tell_tmpfs(absl::FunctionRef<void(const fact&)> visitor) {
  group_of_facts tmpfs(visitor, "tmpfs");
  constexpr struct {
    const char* path;
    std::string_view size;
    std::string_view free;
  } kPlaces[] = {{"/tmp", "/tmp size", "/tmp free"},
                 {"/var/run", "/var/run size", "/var/run free"},
                 {"/etc/svc/volatile", "/etc/svc/volatile size", "/etc/svc/volatile free"}};
  for (const auto& [path, size, free] : kPlaces) {
    struct statvfs found{};
    if (::statvfs(path, &found) != 0 || std::string_view(found.f_basetype) != "tmpfs") continue;
    tmpfs.bytes(size, std::uint64_t{found.f_blocks} * found.f_frsize);
    tmpfs.bytes(free, std::uint64_t{found.f_bavail} * found.f_frsize);
  }
}

}  // namespace

void facts(absl::FunctionRef<void(const fact&)> visitor, const char*) {
  const memory_status now = memory();
  tell_memory(visitor, now);
  tell_locked(visitor, now);
  tell_pages(visitor);
  tell_shared(visitor);
  tell_tmpfs(visitor);
}

}  // namespace strata::platform
