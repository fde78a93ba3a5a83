// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "tests/support/subject.h"

namespace strata::test {

/// Every layer, each on top of a stack that any thread may use and that takes its memory from the OS: for tests of what
/// has to hold for all of them. What `*` gives is a layer. Named after the layer that matters.
[[nodiscard]] std::vector<subject> every_layer();

}  // namespace strata::test
