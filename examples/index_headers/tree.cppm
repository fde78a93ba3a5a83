// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

export module index_headers:tree;

/// Which files a tree holds.
export namespace index_headers {

/// A file or directory that was left out, and why, in the words of the system.
struct skipped_path {
  std::string path;
  std::string why;
};

struct tree {
  std::vector<std::string>
      files;  ///< every header, in the order of their bytes: the same tree always gives the same list
  std::vector<skipped_path> skipped;  ///< directories that could not be read, in the same order
  std::size_t links = 0;  ///< symbolic links seen; none is followed, so no file counts twice and no walk goes round
};

/// True for what is taken as a header: a name ending in .h .hh .hpp .hxx .inc .ipp or .tcc, and, as the C++ library's
/// own headers are called, a name without any dot.
[[nodiscard]] bool is_header(std::string_view file_name);

/// Lists the headers below `root`, itself possibly a symbolic link. Directories whose name starts with a dot are not
/// entered. `found` is told the number of headers after each directory. Fails, in a sentence for the user, when root is
/// missing, is no directory, cannot be read, or holds no header.
[[nodiscard]] absl::StatusOr<tree> scan(const std::string& root, const std::function<void(std::size_t)>& found);

}  // namespace index_headers
