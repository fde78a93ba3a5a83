// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <cstring>
#include <string_view>

module strata.platform:machine.posix;

import :machine;

namespace strata::platform {

fact_text& fact_text::append(std::string_view text) noexcept {
  const std::size_t fits = std::min(text.size(), capacity - size_);
  if (fits != 0) std::memcpy(text_ + size_, text.data(), fits);
  size_ += fits;
  return *this;
}

}  // namespace strata::platform
