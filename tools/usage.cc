// SPDX-License-Identifier: Apache-2.0
module;
#include <cstdio>
#include <string_view>

#include "absl/strings/str_format.h"

module tools:usage.impl;

import :text;
import :usage;

namespace tools {

int usage_error(std::string_view why, std::string_view usage) {
  absl::FPrintF(stderr, "strata: %s\nusage: %s\n", printable(why), usage);
  return not_usable;
}

int input_error(std::string_view name, std::string_view why) {
  absl::FPrintF(stderr, "strata: %s: %s\n", printable(name), why);
  return not_usable;
}

}  // namespace tools
