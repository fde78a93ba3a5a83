// SPDX-License-Identifier: Apache-2.0
// Claims: the small examples run, and print what the text around them says: a row a layer, source first, with figures
// that agree.
#include <gtest/gtest.h>

#include <cstddef>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "tests/examples/program.h"
#include "tests/support/sanitizer.h"

namespace {

/// The words of each line.
std::vector<std::vector<std::string>> lines_of(const std::string& text) {
  std::vector<std::vector<std::string>> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) {
    std::istringstream words(line);
    lines.emplace_back();
    for (std::string word; words >> word;) lines.back().push_back(word);
  }
  return lines;
}

TEST(Quickstart, PrintsARowForEachLayerAndWhereTheMemoryGoes) {
  const outcome result = run_program("examples/quickstart");
  ASSERT_EQ(result.status, 0) << result.text;
  std::vector<std::string> names;
  for (const auto& words : lines_of(result.text)) names.push_back(words.at(0));
  EXPECT_EQ(names, (std::vector<std::string>{"layer", "pages", "slabs", "requested"})) << result.text;
}

TEST(Quickstart, HoldsTheThreeBlocksOfItsMap) {
  // The buckets, one node, and one string that does not fit into itself.
  const outcome result = run_program("examples/quickstart");
  for (const auto& words : lines_of(result.text)) {
    if (words.at(0) != "slabs") continue;
    EXPECT_EQ(words.at(words.size() - 3), "3") << result.text;
  }
}

TEST(YourOwnLayer, CountsWhatTheLayersRoundItCount) {
  const outcome result = run_program("examples/your_own_layer");
  ASSERT_EQ(result.status, 0) << result.text;
  std::size_t requests = 0;
  std::map<std::string, std::string> allocations;
  for (const auto& words : lines_of(result.text)) {
    if (words.at(0) == "to") {
      requests += std::stoul(words.at(3));
    } else {
      allocations[words.at(0)] = words.at(words.size() - 2);
    }
  }
  EXPECT_GT(requests, 2000U) << result.text;
  EXPECT_EQ(allocations["count_sizes"], std::to_string(requests)) << result.text;
  EXPECT_EQ(allocations["heap"], std::to_string(requests)) << result.text;
  EXPECT_EQ(allocations["synchronized"], std::to_string(requests)) << result.text;
}

TEST(PooledCounters, GivesEachSharedPointerOneItem) {
  const outcome result = run_program("examples/pooled_counters");
  ASSERT_EQ(result.status, 0) << result.text;
  // After the first line: owners, items out; chunks; nanoseconds; their ratio.
  std::map<std::string, std::vector<std::string>> said;
  for (const auto& words : lines_of(result.text)) said[words.at(0)] = {words.begin() + 1, words.end()};
  EXPECT_EQ(said["made"], (std::vector<std::string>{"1000", "1000"})) << result.text;
  EXPECT_EQ(said["copied"], (std::vector<std::string>{"2000", "1000"})) << result.text;
  EXPECT_EQ(said["dropped"], (std::vector<std::string>{"0", "0"})) << result.text;
  EXPECT_EQ(said["again"], (std::vector<std::string>{"1000", "1000"})) << result.text;
  // With AddressSanitizer what was dropped waits, and lies in chunks.
  if (!strata::test::under_asan) EXPECT_EQ(said["chunks"], (std::vector<std::string>{"1"})) << result.text;
  // How large the ratio is depends on the machine, so it is printed, not judged.
  ASSERT_EQ(said["ratio"].size(), 1U) << result.text;
  EXPECT_GT(std::stod(said["ratio"][0]), 0) << result.text;
}

}  // namespace
