// SPDX-License-Identifier: Apache-2.0
module;
#include <fstream>
#include <string>

module bench:machine.linux;

import :machine;

namespace bench {

std::string processor_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  }
  return "unknown";
}

}  // namespace bench
