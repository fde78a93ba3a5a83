// SPDX-License-Identifier: Apache-2.0
module;
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>

module strata.platform:guard.linux;

import :error;
import :guard;

// Names that headers older than the kernel lack. A kernel that lacks them says EINVAL: all before 6.13, and of shared
// mappings those before 6.15.
#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#define MADV_GUARD_REMOVE 103
#endif

namespace strata::platform {
namespace {

os_error advise(void* base, std::size_t bytes, int advice) noexcept {
  // EAGAIN: page tables that changed under the kernel's hands. It has tried several times by then, so a bound here is
  // one that nobody meets; it is there because no call may hang.
  constexpr int kAttempts = 100;
  for (int attempt = 1;; ++attempt) {
    if (::madvise(base, bytes, advice) == 0) return success;
    if ((errno != EINTR && errno != EAGAIN) || attempt == kAttempts) return {"madvise", errno};
  }
}

/// Whether a page of a fresh mapping can be guarded.
bool can_guard(int sharing) noexcept {
  const auto bytes = static_cast<std::size_t>(::getpagesize());
  void* const page = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, sharing | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) return false;
  os_error refused = advise(page, bytes, MADV_GUARD_INSTALL);
  // Whatever is mapped may be locked, by mlockall(): not this page.
  if (refused.code == EINVAL && ::munlock(page, bytes) == 0) refused = advise(page, bytes, MADV_GUARD_INSTALL);
  ::munmap(page, bytes);
  return !refused.failed();
}

}  // namespace

guard_support guards_supported() noexcept {
  if (!can_guard(MAP_PRIVATE)) return guard_support::none;
  return can_guard(MAP_SHARED) ? guard_support::objects_as_well : guard_support::private_memory;
}

os_error guard(void* base, std::size_t bytes) noexcept { return advise(base, bytes, MADV_GUARD_INSTALL); }

os_error unguard(void* base, std::size_t bytes) noexcept { return advise(base, bytes, MADV_GUARD_REMOVE); }

}  // namespace strata::platform
