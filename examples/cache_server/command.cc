// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string_view>

module cache_server:command.impl;

import :command;

namespace cache_server {

namespace {

constexpr const char* kBadFormat = "CLIENT_ERROR bad command line format";

struct named {
  std::string_view name;
  verb what;
};
constexpr std::array<named, 17> kVerbs{{{"get", verb::get},
                                        {"set", verb::set},
                                        {"gets", verb::gets},
                                        {"add", verb::add},
                                        {"replace", verb::replace},
                                        {"append", verb::append},
                                        {"prepend", verb::prepend},
                                        {"cas", verb::cas},
                                        {"delete", verb::del},
                                        {"incr", verb::incr},
                                        {"decr", verb::decr},
                                        {"touch", verb::touch},
                                        {"flush_all", verb::flush_all},
                                        {"stats", verb::stats},
                                        {"verbosity", verb::verbosity},
                                        {"version", verb::version},
                                        {"quit", verb::quit}}};

verb verb_of(std::string_view word) noexcept {
  const auto found = std::ranges::find(kVerbs, word, &named::name);
  return found != kVerbs.end() ? found->what : verb::unknown;
}

std::optional<std::int64_t> signed_number(std::string_view text) noexcept {
  const bool negative = text.starts_with('-');
  if (negative) text.remove_prefix(1);
  const auto size = number_of(text, std::numeric_limits<std::int64_t>::max());
  if (!size.has_value()) return std::nullopt;
  const auto value = static_cast<std::int64_t>(*size);
  return negative ? -value : value;
}

void take_key(command& c, std::string_view& words) noexcept {
  c.key = take_word(words);
  if (c.key.empty()) {
    c.what = verb::unknown;  // too few words: no command at all
  } else if (c.key.size() > longest_key) {
    c.wrong = kBadFormat;
  }
}

void take_noreply(command& c, std::string_view& words) noexcept {
  std::string_view rest = words;
  const std::string_view word = take_word(rest);
  if (word == "noreply") {
    c.noreply = true;
    words = rest;
  }
}

// Whatever is wrong with the rest: if it can be told how long the value is, it is not taken for commands.
void read_storage(command& c, std::string_view words) noexcept {
  take_key(c, words);
  const auto flags = number_of(take_word(words), std::numeric_limits<std::uint32_t>::max());
  const auto expires = signed_number(take_word(words));
  const std::string_view length = take_word(words);
  if (length.empty()) {
    c.what = verb::unknown;
    c.wrong = nullptr;
    return;
  }
  const auto bytes = number_of(length, std::numeric_limits<std::int32_t>::max() - 2);
  if (bytes.has_value()) {
    c.bytes = *bytes;
    c.value_follows = true;
  }
  if (c.what == verb::cas) {
    const auto unique = number_of(take_word(words));
    c.number = unique.value_or(0);
    if (!unique.has_value()) c.wrong = kBadFormat;
  }
  take_noreply(c, words);
  c.flags = static_cast<std::uint32_t>(flags.value_or(0));
  c.expires = expires.value_or(0);
  if (!flags.has_value() || !expires.has_value() || !bytes.has_value() || !words.empty()) c.wrong = kBadFormat;
}

void read_arithmetic(command& c, std::string_view words) noexcept {
  take_key(c, words);
  const std::string_view amount = take_word(words);
  if (amount.empty()) c.what = verb::unknown;
  take_noreply(c, words);
  const auto number = number_of(amount);
  c.number = number.value_or(0);
  if (c.wrong == nullptr && !number.has_value()) c.wrong = "CLIENT_ERROR invalid numeric delta argument";
}

void read_touch(command& c, std::string_view words) noexcept {
  take_key(c, words);
  const std::string_view time = take_word(words);
  if (time.empty()) c.what = verb::unknown;
  take_noreply(c, words);
  const auto expires = signed_number(time);
  c.expires = expires.value_or(0);
  if (c.wrong == nullptr && !expires.has_value()) c.wrong = "CLIENT_ERROR invalid exptime argument";
}

void read_delete(command& c, std::string_view words) noexcept {
  take_key(c, words);
  std::string_view rest = words;
  if (take_word(rest) == "0") words = rest;  // a time, as there once was
  take_noreply(c, words);
  if (c.wrong == nullptr && !words.empty()) {
    c.wrong = "CLIENT_ERROR bad command line format.  Usage: delete <key> [noreply]";
  }
}

void read_flush(command& c, std::string_view words) noexcept {
  take_noreply(c, words);
  if (words.empty()) return;
  const auto delay = signed_number(take_word(words));
  take_noreply(c, words);
  c.expires = delay.value_or(0);
  if (!delay.has_value() || !words.empty()) c.wrong = "CLIENT_ERROR invalid exptime argument";
}

// There is nothing to be more or less verbose about; but who asks well is answered well.
void read_verbosity(command& c, std::string_view words) noexcept {
  if (words.empty()) c.what = verb::unknown;
  take_noreply(c, words);
  if (words.empty()) return;
  const auto level = number_of(take_word(words));
  take_noreply(c, words);
  take_word(words);
  if (!words.empty()) {
    c.what = verb::unknown;
  } else if (!level.has_value()) {
    c.wrong = kBadFormat;
  }
}

}  // namespace

std::string_view take_word(std::string_view& words) noexcept {
  const std::size_t start = std::min(words.find_first_not_of(' '), words.size());
  const std::size_t end = std::min(words.find(' ', start), words.size());
  const std::string_view word = words.substr(start, end - start);
  words.remove_prefix(std::min(words.find_first_not_of(' ', end), words.size()));
  return word;
}

std::optional<std::uint64_t> number_of(std::string_view text, std::uint64_t most) noexcept {
  if (text.empty()) return std::nullopt;
  std::uint64_t number = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    const auto digit = static_cast<std::uint64_t>(c - '0');
    if (digit > most || number > (most - digit) / 10) return std::nullopt;
    number = 10 * number + digit;
  }
  return number;
}

command read_command(std::string_view line) noexcept {
  if (line.ends_with('\r')) line.remove_suffix(1);
  command c;
  c.what = verb_of(take_word(line));
  switch (c.what) {
    case verb::get:
    case verb::gets:
      c.keys = line;
      if (line.empty()) c.what = verb::unknown;
      break;
    case verb::set:
    case verb::add:
    case verb::replace:
    case verb::append:
    case verb::prepend:
    case verb::cas:
      read_storage(c, line);
      break;
    case verb::incr:
    case verb::decr:
      read_arithmetic(c, line);
      break;
    case verb::touch:
      read_touch(c, line);
      break;
    case verb::del:
      read_delete(c, line);
      break;
    case verb::flush_all:
      read_flush(c, line);
      break;
    case verb::verbosity:
      read_verbosity(c, line);
      break;
    case verb::stats:
      c.key = take_word(line);
      break;
    case verb::version:
    case verb::quit:
    case verb::unknown:
      break;
  }
  if (c.what == verb::unknown) c.wrong = "ERROR";
  return c;
}

}  // namespace cache_server
