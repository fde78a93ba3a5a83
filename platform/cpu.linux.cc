// SPDX-License-Identifier: Apache-2.0
module;
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string_view>

module strata.platform:cpu.linux;

import :cgroup;
import :cpu;
import :os_file;

namespace strata::platform {
namespace {

constexpr std::size_t kNoQuota = std::numeric_limits<std::size_t>::max();

std::size_t usable_cpus() noexcept {
  // The kernel answers EINVAL to a set smaller than its own; NR_CPUS is at most 8192.
  unsigned long set[8192 / std::numeric_limits<unsigned long>::digits] = {};
  std::size_t count = 0;
  if (::sched_getaffinity(0, sizeof set, reinterpret_cast<cpu_set_t*>(set)) == 0) {
    for (const unsigned long word : set) count += static_cast<std::size_t>(std::popcount(word));
  } else if (const long online = ::sysconf(_SC_NPROCESSORS_ONLN); online > 0) {
    count = static_cast<std::size_t>(online);
  }
  return std::max(count, std::size_t{1});
}

std::size_t permille(std::uint64_t quota, std::uint64_t period) noexcept {
  if (period == 0 || quota > std::numeric_limits<std::uint64_t>::max() / 1000) return kNoQuota;
  return std::max(static_cast<std::size_t>(quota * 1000 / period), std::size_t{1});
}

/// Version 2: "max 100000" or "150000 100000": microseconds of processor time in each period of so many.
std::size_t quota_version_2(const group& of) noexcept {
  line_reader file(of.file("cpu.max"));
  std::string_view period_text;
  std::uint64_t quota = 0;
  std::uint64_t period = 0;
  if (!file.next(period_text)) return kNoQuota;
  const std::string_view quota_text = cut(period_text, ' ');
  if (!parse_number(quota_text, quota) || !parse_number(period_text, period)) return kNoQuota;
  return permille(quota, period);
}

/// Version 1: a file for each; a quota of -1 is none.
std::size_t quota_version_1(const group& of) noexcept {
  std::uint64_t quota = 0;
  std::uint64_t period = 0;
  if (!read_number(of.file("cpu.cfs_quota_us"), quota) || !read_number(of.file("cpu.cfs_period_us"), period))
    return kNoQuota;
  return permille(quota, period);
}

std::size_t smallest_quota(const char* root, std::string_view controller,
                           std::size_t (*quota)(const group&) noexcept) noexcept {
  std::size_t smallest = kNoQuota;
  group level(root, controller);
  if (!level.found()) return smallest;
  do {
    smallest = std::min(smallest, quota(level));
  } while (level.up());
  return smallest;
}

}  // namespace

cpu_status cpus(const char* root) noexcept {
  cpu_status status;
  status.usable = usable_cpus();
  status.quota_permille = std::min(
      {status.usable * 1000, smallest_quota(root, "cpu", quota_version_1), smallest_quota(root, "", quota_version_2)});
  return status;
}

}  // namespace strata::platform
