// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

module tools:heapmap.impl;

import :heap_dump;
import :heap_page;
import :heap_text;
import :heapmap;
import :input;
import :lines;
import :terminal;
import :usage;
import :words;

namespace tools {
namespace {

constexpr std::uint64_t kMostColumns = 1000;
constexpr std::uint64_t kLeastRow = 256, kMostRow = std::uint64_t{1} << 40;

struct wish {
  const char* dump = nullptr;
  std::string_view page;  // file to write; empty: the screen
  std::size_t columns = 0;
  std::uint64_t row = 0;
  std::string_view colour = "auto";
};

/// Takes one argument; empty when it is in order.
std::string take(const char* argument, wish& into) {
  const std::string_view word = argument;
  const std::string_view value = word.substr(std::min(word.size(), word.find('=') + 1));
  if (word.starts_with("--html=")) {
    into.page = value;
    return value.empty() ? "--html wants a file" : "";
  }
  if (word.starts_with("--width=")) {
    const std::optional<std::uint64_t> n = number(value);
    if (!n || *n == 0 || *n > kMostColumns) return "--width wants a number of columns up to 1000";
    into.columns = *n;
    return {};
  }
  if (word.starts_with("--row=")) {
    const std::optional<std::uint64_t> n = number(value);
    if (!n || *n < kLeastRow || *n > kMostRow || !std::has_single_bit(*n)) {
      return "--row wants a power of two, 256 or more";
    }
    into.row = *n;
    return {};
  }
  if (word.starts_with("--colour=")) {
    into.colour = value;
    return value == "auto" || value == "always" || value == "never" ? "" : "--colour is auto, always or never";
  }
  if (word.starts_with("--")) return "heapmap: there is no flag " + std::string(word);
  if (into.dump != nullptr) return "heapmap: one dump, please";
  into.dump = argument;
  return {};
}

void print(const std::vector<heap_dump>& dumps, const wish& wanted) {
  const screen out = screen_of(stdout);
  const bool colour = wanted.colour == "always" || (wanted.colour == "auto" && out.terminal);
  bool first = true;
  for (const heap_dump& dump : dumps) {
    const std::string text =
        heap_as_text(dump, {.columns = wanted.columns != 0 ? wanted.columns : out.columns, .lines = out.lines}, colour);
    std::printf("%s%s", first ? "" : "\n", text.c_str());
    first = false;
  }
}

int write(const std::string& text, std::string_view path) {
  const std::string name(path);
  std::FILE* const out = std::fopen(name.c_str(), "we");
  if (out == nullptr) return input_error(name, std::strerror(errno));
  const bool written = std::fwrite(text.data(), 1, text.size(), out) == text.size();
  const int error = errno;
  if (std::fclose(out) != 0 || !written) return input_error(name, std::strerror(written ? errno : error));
  return 0;
}

}  // namespace

int heapmap(std::span<const char* const> arguments) {
  wish wanted;
  for (const char* const argument : arguments) {
    if (const std::string wrong = take(argument, wanted); !wrong.empty()) return usage_error(wrong, heapmap_usage);
  }
  if (wanted.dump == nullptr) return usage_error("heapmap: of which dump?", heapmap_usage);
  if (wanted.row != 0 && wanted.page.empty()) return usage_error("--row is for --html", heapmap_usage);

  const input file(wanted.dump);
  if (file.stream() == nullptr) return input_error(file.name(), std::strerror(file.error()));
  heap_dump_reader reader;
  lines all(file.stream());
  while (all.next()) reader.add(all.text(), all.whole());
  if (all.error() != 0) return input_error(file.name(), std::strerror(all.error()));
  const std::vector<heap_dump> dumps = reader.finish();
  if (dumps.empty()) {
    return input_error(file.name(),
                       reader.unknown_version() ? "a heap dump of another version" : "there is no heap dump in it");
  }

  if (wanted.page.empty()) {
    print(dumps, wanted);
  } else if (const int failed = write(heap_page(dumps, file.name(), wanted.row), wanted.page); failed != 0) {
    return failed;
  }
  bool whole = true;
  for (const heap_dump& dump : dumps) {
    std::fputs(faults_as_text(dump).c_str(), stderr);
    whole = whole && dump.adds_up();
  }
  return whole ? 0 : 1;
}

}  // namespace tools
