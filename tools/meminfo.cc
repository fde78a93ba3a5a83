// SPDX-License-Identifier: Apache-2.0
module;
#include <cstdint>
#include <cstdio>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/str_format.h"

module tools:meminfo.impl;

import :meminfo;
import :text;
import :usage;

import strata.pmr;

namespace tools {
namespace {

namespace sp = strata::pmr;

// A fact kept.
struct entry {
  std::string group;
  std::string name;
  sp::fact_unit unit;
  std::uint64_t number;
  std::string text;
};

// What is said twice (a mount over another) was said right the last time.
std::vector<entry> collect(const char* root) {
  std::vector<entry> all;
  sp::facts(
      [&](const sp::fact& f) {
        for (entry& e : all) {
          if (e.group != f.group || e.name != f.name) continue;
          e.number = f.number;
          e.text = f.text;
          return;
        }
        all.push_back({std::string(f.group), std::string(f.name), f.unit, f.number, std::string(f.text)});
      },
      root);
  return all;
}

void print_table(const std::vector<entry>& facts) {
  std::string_view group;
  for (const entry& e : facts) {
    const std::string_view head = e.group == group ? std::string_view() : std::string_view(e.group);
    group = e.group;
    switch (e.unit) {
      case sp::fact_unit::bytes:
        absl::PrintF("%-8s %-32s %12s  %d\n", head, e.name, for_people(e.number), e.number);
        break;
      case sp::fact_unit::count:
        absl::PrintF("%-8s %-32s %12d\n", head, e.name, e.number);
        break;
      case sp::fact_unit::text:
        absl::PrintF("%-8s %-32s %12s\n", head, e.name, e.text);
        break;
    }
  }
}

// Facts of one group follow one another.
void print_json(const std::vector<entry>& facts) {
  std::string text = "{";
  std::string_view group;
  for (const entry& e : facts) {
    if (e.group != group) {
      text += absl::StrFormat("%s\n  %s: {", group.empty() ? "" : "\n  },", json(e.group));
    } else {
      text += ",";
    }
    group = e.group;
    const std::string value = e.unit == sp::fact_unit::text ? json(e.text) : absl::StrFormat("%d", e.number);
    text += absl::StrFormat("\n    %s: %s", json(e.name), value);
  }
  absl::PrintF("%s%s}\n", text, group.empty() ? "" : "\n  }\n");
}

}  // namespace

int meminfo(std::span<const char* const> arguments) {
  bool as_json = false;
  const char* root = "";
  for (const char* const argument : arguments) {
    const std::string_view word = argument;
    constexpr std::string_view root_flag = "--root=";  // a tree of files to read instead of the machine's: for tests
    if (word == "--json") {
      as_json = true;
    } else if (word.starts_with(root_flag)) {
      root = argument + root_flag.size();
    } else {
      return usage_error("meminfo takes --json and nothing else", meminfo_usage);
    }
  }
  as_json ? print_json(collect(root)) : print_table(collect(root));
  return 0;
}

}  // namespace tools
