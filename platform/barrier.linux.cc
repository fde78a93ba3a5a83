// SPDX-License-Identifier: Apache-2.0
module;
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

module strata.platform:barrier.linux;

import :barrier;
import :error;

namespace strata::platform {
namespace {

os_error membarrier(int command) noexcept {
  return ::syscall(SYS_membarrier, command, 0, 0) == 0 ? success : os_error{"membarrier", errno};
}

}  // namespace

// EPERM: the process has not said yet that it will ask. It says so once; a second time changes nothing.
os_error process_barrier() noexcept {
  os_error refused = membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED);
  if (refused.code != EPERM) return refused;
  refused = membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED);
  return refused.failed() ? refused : membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED);
}

}  // namespace strata::platform
