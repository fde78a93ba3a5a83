// SPDX-License-Identifier: Apache-2.0
module;
#include <rctl.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>

module strata.platform:resource_control.solaris;

import :resource_control;

namespace strata::platform {

std::uint64_t smallest_value(const char* name) noexcept {
  // How large a block is only the library knows; one of today takes some hundred bytes.
  alignas(std::max_align_t) unsigned char storage[2][1024];
  if (::rctlblk_size() > sizeof storage[0]) return unlimited;
  auto* block = reinterpret_cast<rctlblk_t*>(storage[0]);
  auto* next = reinterpret_cast<rctlblk_t*>(storage[1]);
  if (::getrctl(name, nullptr, block, RCTL_FIRST) != 0) return unlimited;
  std::uint64_t smallest = unlimited;
  do {
    if ((::rctlblk_get_local_flags(block) & RCTL_LOCAL_MAXIMAL) == 0)
      smallest = std::min(smallest, std::uint64_t{::rctlblk_get_value(block)});
    std::swap(block, next);
  } while (::getrctl(name, next, block, RCTL_NEXT) == 0);
  return smallest;
}

}  // namespace strata::platform
