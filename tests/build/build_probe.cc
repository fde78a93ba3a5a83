// SPDX-License-Identifier: Apache-2.0
module;
#include "tests/build/build_facts.h"

module strata.build_probe;

namespace strata::build_probe {

build_facts implementation_facts() noexcept { return STRATA_BUILD_FACTS; }

void increment_out_of_line(int* number) noexcept { *number = *number + 1; }

}  // namespace strata::build_probe
