// SPDX-License-Identifier: Apache-2.0
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/flags/usage.h"

import strata_tools;

ABSL_FLAG(bool, json, false, "print one JSON object: bytes as numbers, null for what is not known or not bounded");
ABSL_FLAG(std::string, root, "",
          "a directory to put before every path read, instead of the machine's own /proc and /sys");

namespace {

constexpr const char* kUsage =
    "what this machine offers to memory layers.\n\n"
    "  strata meminfo [--json]   memory installed, managed, available; the limit on this process and where it comes\n"
    "                            from; locks; page sizes and pools; large-page modes; file systems in memory; ZFS "
    "cache";

int meminfo() {
  const auto found = strata_tools::read_machine_memory(absl::GetFlag(FLAGS_root));
  const std::string text = absl::GetFlag(FLAGS_json) ? strata_tools::as_json(found) : strata_tools::as_table(found);
  return std::fputs(text.c_str(), stdout) >= 0 && std::fflush(stdout) == 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  absl::SetProgramUsageMessage(kUsage);
  const std::vector<char*> words = absl::ParseCommandLine(argc, argv);
  if (words.size() == 2 && std::string_view(words[1]) == "meminfo") return meminfo();
  std::fprintf(stderr, "strata: %s\n", kUsage);
  return 2;
}
