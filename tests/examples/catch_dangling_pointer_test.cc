// SPDX-License-Identifier: Apache-2.0
// Claims: the program with the bug dies of it, at the first use of the dead node, and its report names what happened: use
// after free, the address and where it lies in the block, the block's size, the pool, who allocated it and who deallocated
// it. Without the bug it closes the idle session, and its layers count right.
#include <gtest/gtest.h>
#include <signal.h>

#include <sstream>
#include <string>
#include <vector>

#include "tests/examples/program.h"
#include "tests/support/regular_expression.h"
#include "tests/support/sanitizer.h"

namespace {

using strata::test::regular_expression;

/// The report's lines, from the one that begins it.
std::vector<std::string> report_in(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) {
    if (!lines.empty() || line.starts_with("strata: ")) lines.push_back(line);
  }
  return lines;
}

/// The number of the first line from `from` on in which `expression` is found; as many as there are when there is none.
std::size_t find(const std::vector<std::string>& lines, const std::string& expression, std::size_t from = 0) {
  const regular_expression wanted(expression);
  while (from < lines.size() && !wanted.is_in(lines[from])) ++from;
  return from;
}

TEST(CatchDanglingPointer, ReportsTheUseOfTheErasedNode) {
  const outcome result = run_program("examples/catch_dangling_pointer");
  EXPECT_NE(result.text.find("closing idle sessions\n"), std::string::npos) << result.text;
  EXPECT_EQ(result.text.find("closed\n"), std::string::npos) << result.text;
  EXPECT_NE(result.status, 0);
  if (strata::test::under_asan) {
    EXPECT_NE(result.text.find("ERROR: AddressSanitizer"), std::string::npos) << result.text;
    return;  // which explains faults itself
  }
  // The shell's word for a program that died by a signal; ThreadSanitizer's own for one that faulted.
  EXPECT_EQ(result.status, strata::test::under_tsan ? 66 : 128 + SIGSEGV) << result.text;

  const std::vector<std::string> report = report_in(result.text);
  ASSERT_GT(report.size(), 3U) << result.text;
  const regular_expression of_block(
      "^strata: sessions: use after free: a load from a block that was deallocated "
      "\\(block (0x[0-9a-f]+), ([0-9]+) bytes aligned to 8, thread 1");
  const std::vector<std::string> block = of_block.search(report[0]);
  ASSERT_FALSE(block.empty()) << result.text;
  const unsigned long bytes = std::stoul(block[2]);
  EXPECT_GE(bytes, 4 * sizeof(void*) + sizeof(int) + sizeof(std::string)) << "a node with a session in it";

  const std::vector<std::string> byte =
      regular_expression("^  byte (0x[0-9a-f]+) is number ([0-9]+) of it").search(report[1]);
  ASSERT_FALSE(byte.empty()) << result.text;
  EXPECT_EQ(std::stoul(byte[1], nullptr, 16), std::stoul(block[1], nullptr, 16) + std::stoul(byte[2])) << result.text;
  EXPECT_LT(std::stoul(byte[2]), bytes) << result.text;

  const std::size_t allocated = find(report, "^    allocated by thread 1$");
  const std::size_t freed = find(report, "^    deallocated by thread 1$", allocated);
  ASSERT_LT(freed, report.size()) << result.text;
  EXPECT_LT(find(report, "session_table::open", allocated), freed) << result.text;
  EXPECT_LT(find(report, "main", allocated), freed) << result.text;
  const std::size_t closing = find(report, "session_table::close\\(", freed);
  EXPECT_LT(closing, report.size()) << result.text;
  EXPECT_LT(find(report, "session_table::close_idle\\(", closing), report.size()) << result.text;
  EXPECT_EQ(find(report, "session_table::open", freed), report.size()) << result.text;
}

TEST(CatchDanglingPointer, ClosesTheIdleSessionWithoutTheBug) {
  const outcome result = run_program("examples/catch_dangling_pointer fixed");
  EXPECT_EQ(result.status, 0) << result.text;
  EXPECT_NE(result.text.find("\n1 closed\n"), std::string::npos) << result.text;
  EXPECT_TRUE(report_in(result.text).empty()) << result.text;
  // Three nodes and one text were allocated; two nodes are left.
  EXPECT_TRUE(regular_expression("\nsessions [^\n]* 2 +4 +0\n").is_in(result.text)) << result.text;
}

}  // namespace
