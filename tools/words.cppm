// SPDX-License-Identifier: Apache-2.0
module;
#include <cstdint>
#include <optional>
#include <string_view>

export module tools:words;

/// A line of fields, taken apart one by one.
export namespace tools {

class words {
 public:
  explicit words(std::string_view line) noexcept : rest_(line) {}

  /// The next field; empty when the line is at its end.
  std::string_view next() noexcept;

  /// What has not been taken yet.
  [[nodiscard]] std::string_view rest() const noexcept { return rest_; }

 private:
  std::string_view rest_;
};

/// The value of a hexadecimal digit; 16 for what is none.
[[nodiscard]] unsigned digit(char c) noexcept;

/// Decimal digits and nothing else, below 2^64.
[[nodiscard]] std::optional<std::uint64_t> number(std::string_view word) noexcept;

/// 0x and hexadecimal digits, and nothing else.
[[nodiscard]] std::optional<std::uint64_t> address(std::string_view word) noexcept;

}  // namespace tools
