// SPDX-License-Identifier: Apache-2.0
module;
#include <cstdio>
#include <cstdlib>

module strata.pmr:exhaustion.impl;

import :exhaustion;

import :allocation_error;

namespace strata::pmr {

void fail(exhaustion policy, const allocation_error& error) {
  if (policy == exhaustion::throws) throw allocation_error(error);
  std::fputs(error.what(), stderr);
  std::fputs("\n", stderr);
  std::abort();
}

}  // namespace strata::pmr
