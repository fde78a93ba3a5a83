// SPDX-License-Identifier: Apache-2.0
#ifndef STRATA_TESTS_EXAMPLES_SCRATCH_TREE_H_
#define STRATA_TESTS_EXAMPLES_SCRATCH_TREE_H_

#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>

/// A directory of its own under /tmp, readable by everyone, removed at the end.
class scratch_tree {
 public:
  scratch_tree() {
    char name[] = "/tmp/strata_tree_XXXXXX";
    if (::mkdtemp(name) == nullptr) throw std::runtime_error("mkdtemp");
    root_ = name;
    std::filesystem::permissions(root_, std::filesystem::perms{0755});
  }
  scratch_tree(const scratch_tree&) = delete;
  scratch_tree& operator=(const scratch_tree&) = delete;
  ~scratch_tree() {
    std::error_code ignored;
    std::filesystem::remove_all(root_, ignored);
  }

  [[nodiscard]] std::string root() const { return root_.string(); }
  [[nodiscard]] std::string path(std::string_view name) const { return (root_ / name).string(); }

  /// Writes a file, and the directories on the way to it.
  std::string write(std::string_view name, std::string_view text) const {
    const std::filesystem::path path = root_ / name;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary).write(text.data(), static_cast<std::streamsize>(text.size()));
    return path.string();
  }

  void directory(std::string_view name) const { std::filesystem::create_directories(root_ / name); }
  void link(std::string_view name, std::string_view to) const { std::filesystem::create_symlink(to, root_ / name); }
  void close_to_all(std::string_view name) const {
    std::filesystem::permissions(root_ / name, std::filesystem::perms::none);
  }

 private:
  std::filesystem::path root_;
};

#endif  // STRATA_TESTS_EXAMPLES_SCRATCH_TREE_H_
