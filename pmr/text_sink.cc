// SPDX-License-Identifier: Apache-2.0
module;
#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <string_view>

module strata.pmr:text_sink.impl;

import :text_sink;

import strata.mem;

namespace strata::pmr {

namespace {

void to_stream(void* stream, const char* text, std::size_t bytes) noexcept {
  static_cast<void>(std::fwrite(text, 1, bytes, static_cast<std::FILE*>(stream)));
}

void to_standard_error(void* /*nobody*/, const char* text, std::size_t bytes) noexcept {
  static_cast<void>(std::fwrite(text, 1, bytes, stderr));
}

void to_console(void* /*nobody*/, const char* text, std::size_t bytes) noexcept {
  mem::write_to_console({text, bytes});
}

}  // namespace

text_sink text_sink::console() noexcept { return {&to_console, nullptr}; }
text_sink::text_sink() noexcept : write_(&to_standard_error), to_(nullptr) {}
text_sink::text_sink(std::FILE* stream) noexcept : write_(&to_stream), to_(stream) {}

text_line& text_line::operator<<(std::size_t number) noexcept {
  std::array<char, 24> digits;
  const char* const end = std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr;
  return *this << std::string_view(digits.data(), static_cast<std::size_t>(end - digits.data()));
}

text_line& text_line::operator<<(const void* address) noexcept {
  std::array<char, 24> digits;
  const auto number = reinterpret_cast<std::uintptr_t>(address);
  const char* const end = std::to_chars(digits.data(), digits.data() + digits.size(), number, 16).ptr;
  return *this << "0x" << std::string_view(digits.data(), static_cast<std::size_t>(end - digits.data()));
}

text_line& text_line::word(std::string_view name) noexcept {
  constexpr std::string_view hex = "0123456789ABCDEF";
  for (const char c : name) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte > ' ' && byte < 0x7F && c != '%' && c != ',' && c != '=') {
      add(c);
    } else {
      add('%');
      add(hex[byte >> 4U]);
      add(hex[byte & 0xFU]);
    }
  }
  return *this;
}

void text_line::write_to(const text_sink& sink) noexcept {
  text_[size_] = '\n';
  sink.write({text_.data(), size_ + 1});
}

}  // namespace strata::pmr
