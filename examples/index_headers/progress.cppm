// SPDX-License-Identifier: Apache-2.0
module;
#include <chrono>
#include <cstdio>
#include <string_view>

export module index_headers:progress;

/// What goes on, for someone who waits: on a terminal one line that is rewritten, elsewhere (a log) only lines that
/// stay.
export namespace index_headers {

class progress_line {
 public:
  explicit progress_line(std::FILE* out);
  progress_line(const progress_line&) = delete;
  progress_line& operator=(const progress_line&) = delete;
  ~progress_line() { clear(); }

  /// Shows what goes on just now. Terminal only, ten times a second at most.
  void update(std::string_view text);

  /// Leaves a line for good.
  void keep(std::string_view text);

 private:
  void clear();

  std::FILE* out_;
  bool terminal_;
  bool shown_ = false;  // there is a line to be wiped
  std::chrono::steady_clock::time_point next_{};
};

}  // namespace index_headers
