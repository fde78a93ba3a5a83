// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

export module index_headers:source_file;

/// One file's text at a time, in one buffer that is used again and again: reading leaves no trace in the memory under
/// measurement.
export namespace index_headers {

class source_reader {
 public:
  /// No file larger than this is read, in bytes.
  static constexpr std::size_t max_bytes = std::size_t{64} << 20;

  /// Makes room for files up to `bytes`, and touches it, so that reading them adds nothing to the resident set later.
  explicit source_reader(std::size_t bytes = 0) : buffer_(bytes + 1, '\0') {}

  /// Returns the text of `path`, valid until the next call. Any bytes will do, but a NUL among the first 4 KiB makes
  /// the file binary. Fails with the reason alone (the caller knows the path): what the system said, "binary", or
  /// "larger than 64 MiB".
  [[nodiscard]] absl::StatusOr<std::string_view> read(const std::string& path);

 private:
  std::vector<char> buffer_;
};

}  // namespace index_headers
