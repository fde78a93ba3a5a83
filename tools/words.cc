// SPDX-License-Identifier: Apache-2.0
module;
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <system_error>

module tools:words.impl;

import :words;

namespace tools {
namespace {

std::optional<std::uint64_t> digits(std::string_view word, int base) noexcept {
  std::uint64_t value = 0;
  const char* const end = word.data() + word.size();
  const auto [last, error] = std::from_chars(word.data(), end, value, base);
  if (word.empty() || error != std::errc() || last != end) return std::nullopt;
  return value;
}

}  // namespace

std::string_view words::next() noexcept {
  const std::size_t space = rest_.find(' ');
  const std::string_view word = rest_.substr(0, space);
  rest_.remove_prefix(space == std::string_view::npos ? rest_.size() : space + 1);
  return word;
}

std::optional<std::uint64_t> number(std::string_view word) noexcept { return digits(word, 10); }

std::optional<std::uint64_t> address(std::string_view word) noexcept {
  if (!word.starts_with("0x")) return std::nullopt;
  return digits(word.substr(2), 16);
}

}  // namespace tools
