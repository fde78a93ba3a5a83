// SPDX-License-Identifier: Apache-2.0
#include <memory_resource>

import strata.pmr;

using namespace strata::pmr;

stack large{pages{}, heap{}};
stack memory{pages{}, heap{}, synchronized{}, size_split{.large = &large}};
