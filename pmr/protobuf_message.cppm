// SPDX-License-Identifier: Apache-2.0
module;
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

export module strata.pmr:protobuf_message;

/// A small message in protobuf's wire format, written in place: numbers, texts, messages within.
///
/// What does not fit makes the message one that does not: it is then to be left out whole. One thread at a time; nothing
/// throws or allocates.
export namespace strata::pmr {

class protobuf_message {
 public:
  static constexpr std::size_t capacity = 2048;  // bytes

  /// Any integer; of a negative one its two's complement. Zero is what a reader takes for a number that is not there.
  void number(unsigned field, std::uint64_t value) noexcept;
  /// Several in one field: packed.
  void numbers(unsigned field, std::span<const std::uint64_t> values) noexcept;
  void text(unsigned field, std::string_view text) noexcept;
  void message(unsigned field, const protobuf_message& inner) noexcept;

  /// What stands before `bytes` bytes of text or message: for those written elsewhere.
  void head(unsigned field, std::size_t bytes) noexcept;

  [[nodiscard]] inline std::string_view bytes() const noexcept { return {bytes_.data(), size_}; }
  [[nodiscard]] inline bool fits() const noexcept { return fits_; }

 private:
  void varint(std::uint64_t value) noexcept;
  void append(std::string_view text) noexcept;

  std::array<char, capacity> bytes_;
  std::size_t size_ = 0;
  bool fits_ = true;
};

}  // namespace strata::pmr
