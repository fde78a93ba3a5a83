// SPDX-License-Identifier: Apache-2.0
module;
#include <errno.h>
#include <priv.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>

module strata.platform:lock.solaris;

import :error;
import :lock;
import :resource_control;

namespace strata::platform {
namespace {

os_error answer(const char* call, int result) noexcept { return result == 0 ? success : os_error{call, errno}; }

caddr_t at(void* base) noexcept { return static_cast<caddr_t>(base); }

}  // namespace

// A lock that is refused changes nothing here. There is no lock that waits for the touch.
os_error lock(void* base, std::size_t bytes, lock_time when) noexcept {
  if (when == lock_time::on_touch) return {"mlock", ENOSYS};
  return answer("mlock", ::mlock(at(base), bytes));
}

os_error unlock(void* base, std::size_t bytes) noexcept { return answer("munlock", ::munlock(at(base), bytes)); }

lock_status locks(const char*) noexcept {
  // What is locked is counted by project and zone, not by process: not told.
  lock_status found;
  if (::priv_ineffect(PRIV_PROC_LOCK_MEMORY) != B_TRUE) return found;  // nothing at all, whatever the size
  found.limit = lock_status::unlimited;
  for (const char* const control : {"process.max-locked-memory", "project.max-locked-memory", "zone.max-locked-memory"})
    found.limit = std::min(found.limit, smallest_value(control));
  return found;
}

const char* lock_remedy() noexcept {
  return "grant the privilege proc_lock_memory, or raise the resource control project.max-locked-memory";
}

os_error expose(void* base, std::size_t bytes, exposure how) noexcept {
  switch (how) {
    case exposure::dumped:
      return success;  // it always is: what is dumped is set for the process (coreadm), not for a range
    case exposure::zero_in_child:
#ifdef MC_INHERIT_ZERO
      return answer("memcntl", ::memcntl(at(base), bytes, MC_INHERIT_ZERO, nullptr, 0, 0));
#else
      static_cast<void>(base);
      static_cast<void>(bytes);
      break;
#endif
    case exposure::inherited:  // cannot be had back
    case exposure::not_dumped:
    case exposure::not_in_child:
      break;
  }
  return {"memcntl", ENOSYS};
}

}  // namespace strata::platform
