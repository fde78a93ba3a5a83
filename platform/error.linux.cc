// SPDX-License-Identifier: Apache-2.0
module;
#include <string.h>

module strata.platform:error.linux;

import :error;

namespace strata::platform {

// Names rather than texts: strerror may allocate and speaks the user's language.
const char* name_of(os_error error) noexcept {
  const char* const name = ::strerrorname_np(error.code);
  return name == nullptr ? "an unknown errno" : name;
}

}  // namespace strata::platform
