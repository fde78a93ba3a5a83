// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

module tools:words.impl;

import :words;

namespace tools {
namespace {

std::optional<std::uint64_t> digits(std::string_view word, unsigned base) noexcept {
  std::uint64_t value = 0;
  for (const char c : word) {
    const unsigned next = digit(c);
    if (next >= base || value > (UINT64_MAX - next) / base) return std::nullopt;
    value = value * base + next;
  }
  return word.empty() ? std::nullopt : std::optional(value);
}

}  // namespace

std::string_view words::next() noexcept {
  const std::size_t space = rest_.find(' ');
  const std::string_view word = rest_.substr(0, space);
  rest_.remove_prefix(space == std::string_view::npos ? rest_.size() : space + 1);
  return word;
}

unsigned digit(char c) noexcept {
  if (c >= '0' && c <= '9') return static_cast<unsigned>(c - '0');
  if (c >= 'a' && c <= 'f') return static_cast<unsigned>(c - 'a') + 10;
  if (c >= 'A' && c <= 'F') return static_cast<unsigned>(c - 'A') + 10;
  return 16;
}

std::optional<std::uint64_t> number(std::string_view word) noexcept { return digits(word, 10); }

std::optional<std::uint64_t> address(std::string_view word) noexcept {
  if (!word.starts_with("0x")) return std::nullopt;
  return digits(word.substr(2), 16);
}

}  // namespace tools
