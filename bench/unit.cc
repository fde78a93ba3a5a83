// SPDX-License-Identifier: Apache-2.0
module;
#include <string>

#include "absl/strings/str_format.h"

module bench:unit.impl;

import :unit;

namespace bench {

const char* name_of(unit u) noexcept {
  switch (u) {
    case unit::nanoseconds:
      return "ns";
    case unit::cycles:
      return "cycles";
    case unit::ratio:
      return "ratio";
  }
  return "";
}

std::string format_figure(double figure, unit u) {
  return absl::StrFormat("%.*f", u == unit::nanoseconds ? 1 : u == unit::ratio ? 2 : 0, figure);
}

}  // namespace bench
