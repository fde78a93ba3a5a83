// SPDX-License-Identifier: Apache-2.0
// The strata program: a word that says what is wanted, and what that needs to know.
#include <cstddef>
#include <cstdio>
#include <span>
#include <string>
#include <string_view>

import tools;

namespace {

struct command {
  std::string_view name;
  int (*run)(std::span<const char* const>);
  const char* usage;
};

constexpr command kCommands[] = {
    {"meminfo", tools::meminfo, tools::meminfo_usage},
    {"leaks", tools::leaks, tools::leaks_usage},
    {"heapmap", tools::heapmap, tools::heapmap_usage},
};

std::string usage() {
  std::string text;
  for (const command& c : kCommands) {
    if (!text.empty()) text += "\n       ";
    text += c.usage;
  }
  return text;
}

}  // namespace

int main(int argc, char** argv) {
  const std::span<const char* const> words(argv, static_cast<std::size_t>(argc));
  if (words.size() < 2) return tools::usage_error("what is wanted?", usage());
  const std::string_view name = words[1];
  for (const command& c : kCommands) {
    if (c.name != name) continue;
    const int status = c.run(words.subspan(2));
    // What was not written was not said.
    return std::fflush(stdout) == 0 && std::ferror(stdout) == 0
               ? status
               : tools::input_error("standard output", "cannot be written");
  }
  if (name != "help" && name != "--help") return tools::usage_error("what is " + std::string(name) + "?", usage());
  std::printf("usage: %s\n", usage().c_str());
  return 0;
}
