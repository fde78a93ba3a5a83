// SPDX-License-Identifier: Apache-2.0
module;
#include <time.h>

#include <cstdint>

module strata.platform:clock.posix;

import :clock;

namespace strata::platform {

std::uint64_t monotonic_ns() noexcept {
  timespec now{};
  if (::clock_gettime(CLOCK_MONOTONIC, &now) != 0) return 0;
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000U + static_cast<std::uint64_t>(now.tv_nsec);
}

}  // namespace strata::platform
