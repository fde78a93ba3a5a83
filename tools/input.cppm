// SPDX-License-Identifier: Apache-2.0
module;
#include <cstdio>
#include <string>

export module tools:input;

/// A file to read, or standard input.
export namespace tools {

class input {
 public:
  /// \param name  of a file; "-" is standard input
  explicit input(const char* name);
  ~input();
  input(const input&) = delete;
  input& operator=(const input&) = delete;

  /// Null when it could not be opened: error() is why.
  [[nodiscard]] std::FILE* stream() const noexcept { return stream_; }
  [[nodiscard]] int error() const noexcept { return error_; }

  /// For messages.
  [[nodiscard]] const std::string& name() const noexcept { return name_; }

 private:
  std::string name_;
  std::FILE* stream_;
  int error_;
};

}  // namespace tools
