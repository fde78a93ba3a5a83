// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <limits>

module strata.platform:mappings.solaris;

import :mappings;

namespace strata::platform {

// Address space is what a process runs out of here: each mapping takes at least 1 MiB of it.
std::size_t mapping_limit(const char*) noexcept { return std::numeric_limits<std::size_t>::max(); }

std::size_t mappings_now(const char*) noexcept { return 0; }

}  // namespace strata::platform
