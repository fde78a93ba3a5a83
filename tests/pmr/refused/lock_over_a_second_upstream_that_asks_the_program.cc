// SPDX-License-Identifier: Apache-2.0
#include <memory_resource>

import strata.pmr;

using namespace strata::pmr;

stack reserve{pages{},
              relieved_limit{.bytes = 1 << 20, .when_short = [](void*, const shortage&) noexcept { return false; }},
              heap{}};
stack memory{pages{}, limit{.bytes = 1 << 20}, fallback{.second = &reserve}, synchronized{}};
