// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

module tools:call_log.impl;

import :call_log;
import :words;

namespace tools {
namespace {

constexpr std::string_view kVerbs[] = {"allocate", "deallocate", "reallocate", "release"};

std::optional<verb> verb_of(std::string_view word) noexcept {
  for (unsigned char i = 0; i < std::size(kVerbs); ++i) {
    if (word == kVerbs[i]) return static_cast<verb>(i);
  }
  return std::nullopt;
}

struct key {
  std::string_view name;
  std::uint64_t call::* value;
  bool pointer;
  unsigned bit;  // among those that have been seen
};

enum seen : unsigned { kPointer = 1, kFrom = 2, kBytes = 4, kTo = 8, kOther = 16 };

constexpr key kKeys[] = {
    {"pointer", &call::pointer, true, kPointer},    {"from", &call::from, true, kFrom},
    {"bytes", &call::bytes, false, kBytes},         {"to", &call::to, false, kTo},
    {"alignment", &call::alignment, false, kOther}, {"thread", &call::thread, false, kOther},
};

/// Takes one `key=value`; false when its value is none.
bool take(std::string_view word, call& into, unsigned& seen) noexcept {
  const std::size_t equals = word.find('=');
  const std::string_view value = word.substr(equals + 1);
  word = word.substr(0, equals);
  if (word == "stack") into.stack = value;
  for (const key& k : kKeys) {
    if (word != k.name) continue;
    const std::optional<std::uint64_t> read = k.pointer ? address(value) : number(value);
    if (!read) return false;
    into.*k.value = *read;
    seen |= k.bit;
  }
  return true;
}

/// What a line must say to be of use. A pointer that is not there is null.
unsigned needed(const call& c) noexcept {
  const bool begins = c.end == ending::none;
  if (!begins && c.end != ending::done) return 0;
  switch (c.what) {
    case verb::allocate:
      return begins ? kBytes : kPointer | kBytes;
    case verb::deallocate:
      return begins ? kBytes : kPointer;
    case verb::reallocate:
      return begins ? kTo : kPointer | kBytes;
    case verb::release:
      break;
  }
  return 0;
}

log_line read_call(std::string_view layer, words rest) noexcept {
  const std::optional<std::uint64_t> n = number(rest.next());
  const std::string_view side = rest.next();
  if (!n || (side != "begin" && side != "end")) return {};
  log_line result{.is = log_line::kind::damaged, .call = {.layer = layer, .number = *n}};
  const std::optional<verb> what = verb_of(rest.next());
  if (!what) return result;
  result.call.what = *what;
  if (side == "end") result.call.end = ending::done;

  unsigned seen = 0;
  while (!rest.rest().empty()) {
    const std::string_view word = rest.next();
    if (word.find('=') != std::string_view::npos) {
      if (!take(word, result.call, seen)) return result;
    } else if (result.call.end != ending::none && (word == "failed" || word == "misuse")) {
      result.call.end = word == "failed" ? ending::failed : ending::misuse;
    }
  }
  if (const unsigned all = needed(result.call); (seen & all) == all) result.is = log_line::kind::call;
  return result;
}

}  // namespace

std::string_view name_of(verb what) noexcept { return kVerbs[static_cast<std::size_t>(what)]; }

log_line read_log_line(std::string_view line) noexcept {
  words rest(line);
  const std::string_view first = rest.next();
  if (first == "strata-log") {
    const std::optional<std::uint64_t> version = number(rest.next());
    const std::string_view layer = rest.next();
    if (!version || layer.empty()) return {};
    return {.is = *version == 1 ? log_line::kind::header : log_line::kind::version, .call = {.layer = layer}};
  }
  if (first == "frame") {
    const std::optional<std::uint64_t> code = address(rest.next());
    if (!code || rest.rest().empty()) return {};
    return {.is = log_line::kind::frame, .call = {.pointer = *code}, .name = rest.next()};
  }
  return first.empty() ? log_line() : read_call(first, rest);
}

}  // namespace tools
