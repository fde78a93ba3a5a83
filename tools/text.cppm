// SPDX-License-Identifier: Apache-2.0
module;
#include <cstdint>
#include <string>
#include <string_view>

export module tools:text;

/// Text on its way to people, to JSON and to HTML.
export namespace tools {

/// A name as the formats write it, its %XX taken back. What is no %XX stays.
[[nodiscard]] std::string decoded(std::string_view name);

/// The same text as UTF-8 that no terminal obeys: a control character and a byte that is no UTF-8 become \xNN.
[[nodiscard]] std::string printable(std::string_view text);

/// Text and attribute values of HTML.
[[nodiscard]] std::string html(std::string_view text);

/// A JSON string, quotes included. Pre: UTF-8.
[[nodiscard]] std::string json(std::string_view text);

/// 1234567 as 1,234,567.
[[nodiscard]] std::string grouped(std::uint64_t number);

/// Bytes as 1.5 MiB.
[[nodiscard]] std::string for_people(std::uint64_t bytes);

/// "1 block", "2,000 blocks".
[[nodiscard]] std::string counted(std::uint64_t number, std::string_view one);

}  // namespace tools
