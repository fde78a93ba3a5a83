// SPDX-License-Identifier: Apache-2.0
module;
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <string_view>

export module strata.pmr:text_sink;

/// Where a layer writes lines, and the lines: made in place, written whole, without a byte from any heap.
export namespace strata::pmr {

/// Takes text: a stream, or a function of the program. Copies are the same sink.
class text_sink {
 public:
  /// Writes `bytes` of `text`, whole lines, to `to`. Called by any thread the layer is used by, holding no lock.
  using writer = void (*)(void* to, const char* text, std::size_t bytes) noexcept;

  /// Standard error.
  text_sink() noexcept;
  /// A stream, which outlives the sink. A line is one fwrite(): lines of several threads do not mix, and how soon they
  /// are in the file is as setvbuf() says. Its buffer is the C library's affair.
  text_sink(std::FILE* stream) noexcept;
  text_sink(writer write, void* to) noexcept : write_(write), to_(to) {}
  /// Standard error without a stream: for signal handlers.
  [[nodiscard]] static text_sink console() noexcept;

  void write(std::string_view text) const noexcept { write_(to_, text.data(), text.size()); }

 private:
  writer write_;
  void* to_;
};

/// Text in place. What does not fit is cut off; the line's end always fits.
class text_line {
 public:
  inline text_line& operator<<(std::string_view text) noexcept {
    for (const char c : text) add(c);
    return *this;
  }
  /// Not left to a conversion: a pointer would rather become an address.
  inline text_line& operator<<(const char* text) noexcept { return *this << std::string_view(text); }
  text_line& operator<<(std::size_t number) noexcept;
  /// An address: 0x and lower-case hexadecimal digits.
  text_line& operator<<(const void* address) noexcept;

  /// A name as one word: what is not printable ASCII, and a space, '%', ',' and '=', become %XX.
  text_line& word(std::string_view name) noexcept;

  [[nodiscard]] inline std::string_view text() const noexcept { return {text_.data(), size_}; }
  /// The same, ended by a zero; valid until the line changes.
  [[nodiscard]] inline const char* c_str() noexcept {
    text_[size_] = '\0';
    return text_.data();
  }
  /// Ends the line and writes it.
  void write_to(const text_sink& sink) noexcept;

 private:
  inline void add(char c) noexcept {
    if (size_ < text_.size() - 1) text_[size_++] = c;
  }

  std::array<char, 1536> text_;
  std::size_t size_ = 0;
};

}  // namespace strata::pmr
