// SPDX-License-Identifier: Apache-2.0
#include <memory_resource>

import strata.pmr;

using namespace strata::pmr;

stack memory{pages{}, relieved_limit{.bytes = 1}, heap{}, synchronized{}};
