// SPDX-License-Identifier: Apache-2.0
#include "tests/support/subject.h"

#include <ostream>

namespace strata::test {

void PrintTo(const subject& tested, std::ostream* out) {
  const facts& known = tested.known();
  *out << (tested.name().empty() ? "resource" : tested.name()) << " ("
       << (tested.is_source() ? "source" : "over an upstream") << (known.thread_safe ? ", thread safe" : "")
       << (known.returns_everything ? ", returns everything" : "") << ")";
}

}  // namespace strata::test
