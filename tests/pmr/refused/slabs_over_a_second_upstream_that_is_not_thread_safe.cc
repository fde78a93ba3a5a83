// SPDX-License-Identifier: Apache-2.0
#include <memory_resource>

import strata.pmr;

using namespace strata::pmr;

stack reserve{pages{}, heap{}};
stack memory{pages{}, limit{.bytes = 1 << 20}, fallback{.second = &reserve}, slabs{}};
