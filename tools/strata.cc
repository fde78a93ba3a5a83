// SPDX-License-Identifier: Apache-2.0
// What there is to know about memory here:
//
//     strata meminfo            a table, as prtconf, pagesize, free and ipcs -l together
//     strata meminfo --json     {"memory": {"installed": 25769803776, …}, …}, sizes in bytes
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/str_format.h"

import strata.pmr;

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

std::string for_people(std::uint64_t bytes) {
  constexpr const char* units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  auto size = static_cast<double>(bytes);
  std::size_t unit = 0;
  for (; size >= 1024 && unit + 1 < std::size(units); ++unit) size /= 1024;
  return unit == 0 ? absl::StrFormat("%d B", bytes) : absl::StrFormat("%.1f %s", size, units[unit]);
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

std::string in_quotes(std::string_view text) {
  std::string result = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') result += '\\';
    if (static_cast<unsigned char>(c) < 0x20) {
      result += absl::StrFormat("\\u%04x", static_cast<unsigned char>(c));
    } else {
      result += c;
    }
  }
  return result + '"';
}

// Facts of one group follow one another.
void print_json(const std::vector<entry>& facts) {
  std::string text = "{";
  std::string_view group;
  for (const entry& e : facts) {
    if (e.group != group) {
      text += absl::StrFormat("%s\n  %s: {", group.empty() ? "" : "\n  },", in_quotes(e.group));
    } else {
      text += ",";
    }
    group = e.group;
    const std::string value = e.unit == sp::fact_unit::text ? in_quotes(e.text) : absl::StrFormat("%d", e.number);
    text += absl::StrFormat("\n    %s: %s", in_quotes(e.name), value);
  }
  absl::PrintF("%s%s}\n", text, group.empty() ? "" : "\n  }\n");
}

int complain(const char* what) {
  std::fprintf(stderr, "strata: %s\nusage: strata meminfo [--json]\n", what);
  return 2;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2 || std::string_view(argv[1]) != "meminfo") return complain("the only thing known is meminfo");
  bool json = false;
  const char* root = "";
  for (int i = 2; i < argc; ++i) {
    const std::string_view word = argv[i];
    if (word == "--json") {
      json = true;
    } else if (word.starts_with("--root=")) {  // a tree of files to read instead of the machine's: for tests
      root = argv[i] + std::string_view("--root=").size();
    } else {
      return complain("meminfo takes --json and nothing else");
    }
  }
  json ? print_json(collect(root)) : print_table(collect(root));
  return 0;
}
