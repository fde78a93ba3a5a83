// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>

module tools:leaks.impl;

import :input;
import :leak_report;
import :leaks;
import :lines;
import :live_set;
import :usage;
import :words;

namespace tools {

int leaks(std::span<const char* const> arguments) {
  bool as_json = false;
  std::size_t top = 0;
  const char* log = nullptr;
  for (const char* const argument : arguments) {
    const std::string_view word = argument;
    if (word == "--json") {
      as_json = true;
    } else if (word.starts_with("--top=")) {
      const std::optional<std::uint64_t> n = number(word.substr(6));
      if (!n) return usage_error("--top wants a number", leaks_usage);
      top = *n;
    } else if (word.starts_with("--")) {
      return usage_error("leaks: there is no flag " + std::string(word), leaks_usage);
    } else if (log != nullptr) {
      return usage_error("leaks: one log, please", leaks_usage);
    } else {
      log = argument;
    }
  }
  if (log == nullptr) return usage_error("leaks: of which log?", leaks_usage);

  const input file(log);
  if (file.stream() == nullptr) return input_error(file.name(), std::strerror(file.error()));
  live_set live;
  lines all(file.stream());
  while (all.next()) live.add(all.text(), all.whole());
  live.finish();
  if (all.error() != 0) return input_error(file.name(), std::strerror(all.error()));
  if (live.layers().empty()) {
    return input_error(file.name(), live.count(oddity::version).times != 0 ? "a call log of another version"
                                                                           : "there is no call log in it");
  }

  const std::string text = as_json ? leaks_as_json(live) : leaks_as_text(live, file.name(), top);
  std::fwrite(text.data(), 1, text.size(), stdout);
  return any_live(live) ? 1 : 0;
}

}  // namespace tools
