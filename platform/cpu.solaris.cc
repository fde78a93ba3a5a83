// SPDX-License-Identifier: Apache-2.0
module;
#include <sys/processor.h>
#include <sys/procset.h>
#include <sys/pset.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>

module strata.platform:cpu.solaris;

import :cpu;
import :resource_control;

namespace strata::platform {
namespace {

std::size_t usable_cpus() noexcept {
  processorid_t bound = PBIND_NONE;
  if (::processor_bind(P_LWPID, static_cast<id_t>(P_MYID), PBIND_QUERY, &bound) == 0 && bound != PBIND_NONE) return 1;
  uint_t in_set = 0;
  if (::pset_info(PS_MYID, nullptr, &in_set, nullptr) == 0 && in_set != 0) return in_set;
  const long online = ::sysconf(_SC_NPROCESSORS_ONLN);
  return online > 0 ? static_cast<std::size_t>(online) : 1;
}

}  // namespace

cpu_status cpus(const char*) noexcept {
  cpu_status status;
  status.usable = usable_cpus();
  status.quota_permille = status.usable * 1000;
  for (const char* const cap : {"zone.cpu-cap", "project.cpu-cap"}) {
    const std::uint64_t percent = smallest_value(cap);  // of one processor
    if (percent < status.quota_permille / 10)
      status.quota_permille = std::max(static_cast<std::size_t>(percent) * 10, std::size_t{1});
  }
  return status;
}

}  // namespace strata::platform
