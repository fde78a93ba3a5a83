// SPDX-License-Identifier: Apache-2.0
module;
#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

export module index_headers:tokenizer;

namespace index_headers {

enum class byte_kind : unsigned char { other, newline, digit, letter };

inline constexpr auto byte_kinds = [] {
  std::array<byte_kind, 256> kinds{};
  kinds['\n'] = byte_kind::newline;
  for (std::size_t c = '0'; c <= '9'; ++c) kinds[c] = byte_kind::digit;
  for (std::size_t c = 'a'; c <= 'z'; ++c) kinds[c] = kinds[c - 'a' + 'A'] = byte_kind::letter;
  kinds['_'] = byte_kind::letter;
  return kinds;
}();

inline byte_kind kind_of(char c) { return byte_kinds[static_cast<unsigned char>(c)]; }

}  // namespace index_headers

/// Identifiers of a text, wherever they stand, comments and strings included: what `LC_ALL=C grep -now
/// '[A-Za-z_][A-Za-z0-9_]*'` finds.
export namespace index_headers {

/// Calls `visit(std::string_view identifier, std::uint32_t line)` for each, in order; lines count from 1. Any bytes
/// will do: what is not an ASCII letter, digit or underscore only separates. A word that starts with a digit (0x1F,
/// 10ul) is a number, not an identifier.
template <class Visit>
void for_each_identifier(std::string_view text, Visit visit) {
  std::uint32_t line = 1;
  for (std::size_t at = 0; at < text.size();) {
    const byte_kind first = kind_of(text[at]);
    if (first < byte_kind::digit) {
      line += first == byte_kind::newline;
      ++at;
      continue;
    }
    const std::size_t begin = at;
    do ++at;
    while (at < text.size() && kind_of(text[at]) >= byte_kind::digit);
    if (first == byte_kind::letter) visit(text.substr(begin, at - begin), line);
  }
}

}  // namespace index_headers
