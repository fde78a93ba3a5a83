// SPDX-License-Identifier: Apache-2.0
// Claim: what README shows as the first C++ is examples/quickstart.cc, byte for byte, but for the licence line.
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <string>
#include <string_view>

namespace {

std::string contents(const char* path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// The text between the first line "```cpp" and the line "```" after it; empty without one.
std::string_view first_cpp_block(std::string_view text) {
  constexpr std::string_view opening = "\n```cpp\n";
  const std::size_t at = text.find(opening);
  if (at == std::string_view::npos) return {};
  text.remove_prefix(at + opening.size());
  const std::size_t end = text.find("\n```\n");
  return end == std::string_view::npos ? std::string_view() : text.substr(0, end + 1);
}

TEST(Readme, FindsTheFirstBlock) {
  EXPECT_EQ(first_cpp_block("a\n```sh\nx\n```\n\n```cpp\nint i;\n\nint j;\n```\nb\n```cpp\nk\n```\n"),
            "int i;\n\nint j;\n");
  EXPECT_EQ(first_cpp_block("a\n```cpp\nnever closed\n"), "");
  EXPECT_EQ(first_cpp_block("none"), "");
}

TEST(Readme, ShowsTheQuickstartByteForByte) {
  const std::string readme = contents("README.md");
  const std::string example = contents("examples/quickstart.cc");
  const std::size_t licence_end = example.find('\n') + 1;
  ASSERT_EQ(example.substr(0, licence_end), "// SPDX-License-Identifier: Apache-2.0\n");
  ASSERT_GT(example.size(), licence_end);
  EXPECT_EQ(first_cpp_block(readme), example.substr(licence_end));
}

}  // namespace
