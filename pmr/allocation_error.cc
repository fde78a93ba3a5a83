// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <cstdio>

module strata.pmr:allocation_error.impl;

import :allocation_error;

import strata.mem;

namespace strata::pmr {

allocation_error::allocation_error(const char* layer, std::size_t bytes, std::size_t alignment, const char* reason,
                                   mem::os_error cause) noexcept
    : layer_(layer), bytes_(bytes), alignment_(alignment), cause_(cause) {
  const int length = std::snprintf(text_, sizeof(text_), "strata: %s cannot allocate %zu bytes aligned to %zu: %s",
                                   layer, bytes, alignment, reason);
  const auto used = length < 0 ? std::size_t{0} : static_cast<std::size_t>(length);
  if (!cause.failed() || used >= sizeof(text_)) return;
  std::snprintf(text_ + used, sizeof(text_) - used, " (%s: %s)", cause.call, mem::name_of(cause));
}

allocation_error::allocation_error(const char* layer, std::size_t bytes, std::size_t alignment, const char* reason,
                                   room left) noexcept
    : layer_(layer), bytes_(bytes), alignment_(alignment) {
  std::snprintf(text_, sizeof(text_),
                "strata: %s cannot allocate %zu bytes aligned to %zu: %s (%zu bytes free, %zu in one piece)", layer,
                bytes, alignment, reason, left.free, left.largest);
}

const char* allocation_error::what() const noexcept { return text_; }

}  // namespace strata::pmr
