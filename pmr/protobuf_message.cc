// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

module strata.pmr:protobuf_message.impl;

import :protobuf_message;

namespace strata::pmr {

namespace {

// Wire types.
constexpr unsigned as_varint = 0;
constexpr unsigned as_bytes = 2;

// Seven bits a byte.
std::size_t bytes_of(std::uint64_t value) noexcept {
  return (static_cast<std::size_t>(std::bit_width(value | 1)) + 6) / 7;
}

}  // namespace

void protobuf_message::append(std::string_view text) noexcept {
  fits_ = fits_ && text.size() <= capacity - size_;
  if (!fits_) return;
  std::ranges::copy(text, bytes_.begin() + static_cast<std::ptrdiff_t>(size_));
  size_ += text.size();
}

void protobuf_message::varint(std::uint64_t value) noexcept {
  for (; value >= 0x80; value >>= 7) {
    const char more = static_cast<char>((value & 0x7F) | 0x80);
    append({&more, 1});
  }
  const char last = static_cast<char>(value);
  append({&last, 1});
}

void protobuf_message::number(unsigned field, std::uint64_t value) noexcept {
  varint(field << 3U | as_varint);
  varint(value);
}

void protobuf_message::numbers(unsigned field, std::span<const std::uint64_t> values) noexcept {
  if (values.empty()) return;
  std::size_t bytes = 0;
  for (const std::uint64_t each : values) bytes += bytes_of(each);
  head(field, bytes);
  for (const std::uint64_t each : values) varint(each);
}

void protobuf_message::head(unsigned field, std::size_t bytes) noexcept {
  varint(field << 3U | as_bytes);
  varint(bytes);
}

void protobuf_message::text(unsigned field, std::string_view text) noexcept {
  head(field, text.size());
  append(text);
}

void protobuf_message::message(unsigned field, const protobuf_message& inner) noexcept {
  fits_ = fits_ && inner.fits();
  text(field, inner.bytes());
}

}  // namespace strata::pmr
