// SPDX-License-Identifier: Apache-2.0
module;
#include "tests/build/build_facts.h"

export module strata.build_probe;

export using ::build_facts;

namespace strata::build_probe {

int not_exported();

/// How the interface was compiled; inline, so an importer reads it out of the BMI.
export [[nodiscard]] inline build_facts interface_facts() noexcept { return STRATA_BUILD_FACTS; }

/// How the implementation unit was compiled.
export [[nodiscard]] build_facts implementation_facts() noexcept;

/// Adds one to *number, once compiled into the importer, once in the implementation unit: what every sanitizer can find
/// fault with.
export inline void increment_inline(int* number) noexcept { *number = *number + 1; }
export void increment_out_of_line(int* number) noexcept;

}  // namespace strata::build_probe
