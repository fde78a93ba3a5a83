// SPDX-License-Identifier: Apache-2.0
#ifndef STRATA_TESTS_PLATFORM_FAKE_TREE_H_
#define STRATA_TESTS_PLATFORM_FAKE_TREE_H_

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace strata::test {

/// A machine's /proc and /sys as a test wants them, in a directory of the running test.
class fake_tree : public testing::Test {
 protected:
  fake_tree() {
    const testing::TestInfo& test = *testing::UnitTest::GetInstance()->current_test_info();
    root_ = testing::TempDir() + test.test_suite_name() + "." + test.name();
    std::filesystem::remove_all(root_);
    std::filesystem::create_directories(root_);
  }
  ~fake_tree() override { std::filesystem::remove_all(root_); }

  void write(const std::string& name, const std::string& text) const {
    const std::filesystem::path file = root_ + name;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file, std::ios::binary) << text;
    ASSERT_TRUE(std::filesystem::exists(file)) << file;
  }
  void directory(const std::string& name) const { std::filesystem::create_directories(root_ + name); }
  void remove(const std::string& name) const { std::filesystem::remove_all(root_ + name); }

  [[nodiscard]] const char* root() const { return root_.c_str(); }

 private:
  std::string root_;
};

}  // namespace strata::test

#endif  // STRATA_TESTS_PLATFORM_FAKE_TREE_H_
