// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <cstdint>
#include <string_view>

module strata.platform:os_file;

/// The files and directories through which an OS speaks about itself, read line by line or name by name.
///
/// Private to this floor: an internal partition, imported by implementation units only. Nothing here allocates; every
/// buffer is of fixed size (an object takes about 4 KiB of stack). A file that is missing, unreadable or torn off is
/// one that ends: no reader ever fails otherwise, so each room says once what it answers when a line is not there.
/// Interrupted calls are repeated.
namespace strata::platform {

/// A path put together piece by piece. One that does not fit opens nothing.
class path {
 public:
  static constexpr std::size_t capacity = 4096;  // PATH_MAX, with the terminating zero

  explicit path(std::string_view text) noexcept { append(text); }

  path& append(std::string_view text) noexcept;
  void shorten(std::size_t length) noexcept;  ///< Pre: length <= size()

  [[nodiscard]] inline std::size_t size() const noexcept { return size_; }
  [[nodiscard]] inline std::string_view view() const noexcept { return {text_, size_}; }
  [[nodiscard]] inline bool fits() const noexcept { return fits_; }
  [[nodiscard]] inline const char* c_str() const noexcept { return text_; }

 private:
  std::size_t size_ = 0;
  bool fits_ = true;
  char text_[capacity] = {};
};

/// An open file; -1 when there is none.
class descriptor {
 public:
  descriptor(const path& name, int flags) noexcept;
  ~descriptor();
  descriptor(const descriptor&) = delete;
  descriptor& operator=(const descriptor&) = delete;

  [[nodiscard]] inline int get() const noexcept { return fd_; }

 private:
  int fd_;
};

/// Lines of a file. A line longer than the buffer, or cut short by a failed read, is left out whole: half a line would
/// be a false one.
class line_reader {
 public:
  static constexpr std::size_t longest_line = 4096;  // bytes, with the newline

  explicit line_reader(const path& name) noexcept;

  /// Sets `line` to the next line without its newline; valid until the next call. Returns false at the end.
  bool next(std::string_view& line) noexcept;

 private:
  bool refill() noexcept;

  descriptor file_;
  bool ended_ = false;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  char buffer_[longest_line];
};

/// Names in a directory, in no order, "." and ".." included.
class name_reader {
 public:
  explicit name_reader(const path& name) noexcept;

  /// Sets `name` to the next entry; valid until the next call. Returns false at the end.
  bool next(std::string_view& name) noexcept;

 private:
  descriptor directory_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  alignas(8) char buffer_[2048];
};

/// Cuts the first word off `text`: what stands before the first `separator`, which goes as well.
std::string_view cut(std::string_view& text, char separator) noexcept;

/// Reads an unsigned number that fills `text` (white space round it is allowed). A number too large is the largest
/// there is. Returns false, and leaves `value`, for anything else.
bool parse_number(std::string_view text, std::uint64_t& value, int base = 10) noexcept;

/// Reads the number on the first line of a file. Returns false, and leaves `value`, when there is none.
bool read_number(const path& name, std::uint64_t& value, int base = 10) noexcept;

}  // namespace strata::platform
