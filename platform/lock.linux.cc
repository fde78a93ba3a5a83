// SPDX-License-Identifier: Apache-2.0
module;
#include <sys/mman.h>
#include <sys/resource.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <string_view>

module strata.platform:lock.linux;

import :error;
import :lock;
import :os_file;

namespace strata::platform {
namespace {

os_error answer(const char* call, int result) noexcept { return result == 0 ? success : os_error{call, errno}; }

int advice_for(exposure how) noexcept {
  switch (how) {
    case exposure::dumped:
      return MADV_DODUMP;
    case exposure::not_dumped:
      return MADV_DONTDUMP;
    case exposure::zero_in_child:
      return MADV_WIPEONFORK;
    case exposure::not_in_child:
      return MADV_DONTFORK;
    case exposure::inherited:
      break;
  }
  return MADV_DOFORK;
}

std::string_view without_blanks(std::string_view text) noexcept {
  text.remove_prefix(std::min(text.find_first_not_of(" \t"), text.size()));
  return text;
}

/// This capability counts in the first user namespace alone, the one that maps all users to themselves:
/// "0          0 4294967295".
bool in_first_user_namespace(const char* root) noexcept {
  line_reader file(path(root).append("/proc/self/uid_map"));
  std::string_view line;
  if (!file.next(line)) return false;
  for (const std::string_view wanted : {"0", "0", "4294967295"}) {
    line = without_blanks(line);
    if (cut(line, ' ') != wanted) return false;
  }
  return true;
}

}  // namespace

// A range whose pages could not all be had is marked as locked all the same, and counts: the mark is taken away again.
os_error lock(void* base, std::size_t bytes, lock_time when) noexcept {
  const os_error refused = when == lock_time::now ? answer("mlock", ::mlock(base, bytes))
                                                  : answer("mlock2", ::mlock2(base, bytes, MLOCK_ONFAULT));
  if (refused.failed()) static_cast<void>(::munlock(base, bytes));
  return refused;
}

os_error unlock(void* base, std::size_t bytes) noexcept { return answer("munlock", ::munlock(base, bytes)); }

// "VmLck:	      64 kB", and "CapEff:	0000000000004000": bit 14 is CAP_IPC_LOCK, for which no limit holds.
lock_status locks(const char* root) noexcept {
  constexpr std::uint64_t ipc_lock = std::uint64_t{1} << 14;
  lock_status found;
  rlimit allowed{};
  if (::getrlimit(RLIMIT_MEMLOCK, &allowed) == 0) {
    found.limit = allowed.rlim_cur == RLIM_INFINITY ? lock_status::unlimited : allowed.rlim_cur;
  }
  std::uint64_t capabilities = 0;
  line_reader file(path(root).append("/proc/self/status"));
  for (std::string_view line; file.next(line);) {
    const std::string_view name = cut(line, ':');
    std::uint64_t kib = 0;
    if (name == "VmLck" && line.ends_with(" kB") && parse_number(line.substr(0, line.size() - 3), kib)) {
      if (kib < std::uint64_t{1} << 53) found.locked = kib << 10;
    }
    if (name == "CapEff") parse_number(line, capabilities, 16);
  }
  if ((capabilities & ipc_lock) != 0 && in_first_user_namespace(root)) found.limit = lock_status::unlimited;
  return found;
}

const char* lock_remedy() noexcept { return "raise RLIMIT_MEMLOCK (ulimit -l), or grant CAP_IPC_LOCK"; }

// What is inherited is neither left out nor zero: two settings of the kernel's.
os_error expose(void* base, std::size_t bytes, exposure how) noexcept {
  const os_error refused = answer("madvise", ::madvise(base, bytes, advice_for(how)));
  if (refused.failed() || how != exposure::inherited) return refused;
  const os_error kept = answer("madvise", ::madvise(base, bytes, MADV_KEEPONFORK));
  return kept.code == EINVAL ? success : kept;  // a kernel before 4.14, which knows no zeros either
}

}  // namespace strata::platform
