// SPDX-License-Identifier: Apache-2.0
module;
#include <kstat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string_view>

module strata.platform:memory.solaris;

import :memory;

namespace strata::platform {
namespace {

/// The kernel's statistics. kstat_open() asks the C library for memory: the one thing on this floor that does.
class statistics {
 public:
  statistics() noexcept : control_(::kstat_open()) {}
  ~statistics() {
    if (control_ != nullptr) static_cast<void>(::kstat_close(control_));
  }
  statistics(const statistics&) = delete;
  statistics& operator=(const statistics&) = delete;

  /// The values of one statistic as of now; null when there is none.
  kstat_t* read(const char* module, const char* name) const noexcept {
    if (control_ == nullptr) return nullptr;
    // The library's parameters lack the const that its manual gives them.
    kstat_t* const found = ::kstat_lookup(control_, const_cast<char*>(module), 0, const_cast<char*>(name));
    return found != nullptr && ::kstat_read(control_, found, nullptr) != -1 ? found : nullptr;
  }

 private:
  kstat_ctl_t* control_;
};

std::optional<std::uint64_t> value_in(kstat_t* of, const char* name) noexcept {
  if (of == nullptr) return std::nullopt;
  const auto* const value = static_cast<const kstat_named_t*>(::kstat_data_lookup(of, const_cast<char*>(name)));
  if (value == nullptr) return std::nullopt;
  switch (value->data_type) {
    case KSTAT_DATA_UINT32:
      return value->value.ui32;
    case KSTAT_DATA_UINT64:
      return value->value.ui64;
    default:
      return std::nullopt;
  }
}

std::uint64_t pages(int what) noexcept {
  const long count = ::sysconf(what);
  return count > 0 ? static_cast<std::uint64_t>(count) : 0;
}

std::optional<foreign_cache> read_arc(const statistics& from) noexcept {
  kstat_t* const arc = from.read("zfs", "arcstats");
  const auto size = value_in(arc, "size");
  if (!size) return std::nullopt;
  return foreign_cache{*size, value_in(arc, "c_min").value_or(0), value_in(arc, "c_max").value_or(0)};
}

}  // namespace

memory_status memory(const char*) noexcept {
  const statistics kernel;
  kstat_t* const census = kernel.read("unix", "system_pages");
  const std::uint64_t page = pages(_SC_PAGESIZE);

  // _SC_PHYS_PAGES is what is installed, or the cap of the zone where that is lower; physmem is what the kernel came to
  // manage. Neither follows from the other.
  const std::uint64_t installed_or_cap = pages(_SC_PHYS_PAGES) * page;
  memory_status status;
  status.managed = value_in(census, "physmem").value_or(pages(_SC_PHYS_PAGES)) * page;
  status.installed = std::max(installed_or_cap, status.managed);
  status.limit = installed_or_cap == 0 ? status.managed : std::min(installed_or_cap, status.managed);
  status.soft_limit = status.limit;
  constexpr std::string_view kCap = "zone.capped-memory";
  if (status.limit < status.managed) std::copy(kCap.begin(), kCap.end(), status.limit_source);

  // Free pages, or what the zone has left of its cap; and the machine's own where that is less.
  const std::uint64_t free = pages(_SC_AVPHYS_PAGES);
  status.available = std::min({free * page, value_in(census, "freemem").value_or(free) * page, status.limit});
  status.locked = value_in(census, "pageslocked").value_or(0) * page;
  status.cache = read_arc(kernel);
  return status;
}

}  // namespace strata::platform
