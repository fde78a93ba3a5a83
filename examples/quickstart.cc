// SPDX-License-Identifier: Apache-2.0
#include <cstdio>
#include <memory_resource>
#include <string>
#include <unordered_map>

import strata.pmr;
namespace sp = strata::pmr;

int main() {
  sp::stack memory{sp::pages{}, sp::slabs{}};
  std::pmr::unordered_map<std::pmr::string, int> stock{&memory};
  stock["screwdrivers, left-handed"] = 144;
  memory.write_report(stdout);
}
