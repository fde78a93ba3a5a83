// SPDX-License-Identifier: Apache-2.0
#include <memory_resource>

import strata.pmr;

using namespace strata::pmr;

stack memory{pages{}, slabs{}, tracking{}, tracking{}};
