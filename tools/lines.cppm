// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <string_view>
#include <vector>

export module tools:lines;

/// A stream, line by line, however long it is.
export namespace tools {

class lines {
 public:
  /// Of a longer line only so many bytes are shown.
  static constexpr std::size_t longest = std::size_t{1} << 16;

  /// \param in  borrowed, open for reading
  explicit lines(std::FILE* in) : in_(in), buffer_(2 * longest) {}

  /// Goes on to the next line; false at the end, or when reading failed.
  bool next();

  /// The line, without its end; until next() is called again.
  [[nodiscard]] std::string_view text() const noexcept { return text_; }

  /// Counted from 1.
  [[nodiscard]] std::uint64_t number() const noexcept { return number_; }

  /// False for a line that the stream ends in, and for one that was too long.
  [[nodiscard]] bool whole() const noexcept { return whole_; }

  /// errno of the read that failed; 0 if none did.
  [[nodiscard]] int error() const noexcept { return error_; }

 private:
  bool fill();

  std::FILE* in_;
  std::vector<char> buffer_;
  std::size_t begin_ = 0, end_ = 0;  // what has been read and not yet shown
  std::string_view text_;
  std::uint64_t number_ = 0;
  bool whole_ = false;
  int error_ = 0;
};

}  // namespace tools
