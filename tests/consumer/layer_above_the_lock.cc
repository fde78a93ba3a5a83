// SPDX-License-Identifier: Apache-2.0
#include <memory_resource>

import consumer.cache_line_adaptor;
import strata.pmr;

namespace sp = strata::pmr;

int main() { sp::stack memory{sp::pages{}, sp::heap{}, sp::synchronized{}, consumer::cache_lines{}}; }
