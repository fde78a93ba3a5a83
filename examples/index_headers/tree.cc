// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <array>
#include <cstddef>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"

module index_headers:tree.impl;

import :tree;

namespace index_headers {
namespace {

namespace fs = std::filesystem;

/// One directory's entries into `result`, its subdirectories into `pending`.
void list(const fs::path& directory, tree& result, std::vector<fs::path>& pending) {
  std::error_code error;
  for (fs::directory_iterator at(directory, error), end; !error && at != end; at.increment(error)) {
    std::error_code unknown;
    const fs::file_type type = at->symlink_status(unknown).type();
    const fs::path& path = at->path();
    const std::string name = path.filename().string();
    if (unknown) {
      result.skipped.push_back({path.string(), unknown.message()});
    } else if (type == fs::file_type::symlink) {
      ++result.links;
    } else if (type == fs::file_type::directory) {
      if (!name.starts_with('.')) pending.push_back(path);
    } else if (type == fs::file_type::regular && is_header(name)) {
      result.files.push_back(path.string());
    }
  }
  if (error) result.skipped.push_back({directory.string(), error.message()});
}

}  // namespace

bool is_header(std::string_view file_name) {
  static constexpr std::array<std::string_view, 7> kEndings{".h", ".hh", ".hpp", ".hxx", ".inc", ".ipp", ".tcc"};
  return file_name.find('.') == std::string_view::npos ||
         std::any_of(kEndings.begin(), kEndings.end(), [&](std::string_view e) { return file_name.ends_with(e); });
}

absl::StatusOr<tree> scan(const std::string& root, const std::function<void(std::size_t)>& found) {
  std::error_code error;
  const fs::file_status status = fs::status(root, error);
  if (status.type() == fs::file_type::not_found) return absl::NotFoundError(absl::StrCat(root, ": no such directory"));
  if (error) return absl::NotFoundError(absl::StrCat(root, ": ", error.message()));
  if (status.type() != fs::file_type::directory) return absl::NotFoundError(absl::StrCat(root, ": not a directory"));
  const fs::directory_iterator readable(root, error);
  if (error) return absl::NotFoundError(absl::StrCat(root, ": ", error.message()));

  tree result;
  for (std::vector<fs::path> pending{root}; !pending.empty();) {
    const fs::path directory = std::move(pending.back());
    pending.pop_back();
    list(directory, result, pending);
    found(result.files.size());
  }
  std::sort(result.files.begin(), result.files.end());
  std::sort(result.skipped.begin(), result.skipped.end(),
            [](const skipped_path& a, const skipped_path& b) { return a.path < b.path; });
  if (result.files.empty()) return absl::NotFoundError(absl::StrCat(root, ": no headers in this tree"));
  return result;
}

}  // namespace index_headers
