// SPDX-License-Identifier: Apache-2.0
// Claims: a JSON document is well formed whatever is in it; what is no number is null. program_test reads whole ones.
#include <gtest/gtest.h>

#include <cmath>
#include <string>

import bench;

namespace {

TEST(JsonWriter, SeparatesAndQuotes) {
  bench::json_writer out;
  out.open('{');
  out.field("a \"b\" \\ \n", 1.5);
  out.key("list");
  out.open('[');
  out.value(std::nan(""));
  out.value("text: ");
  out.value(true);
  out.open('{');
  out.close('}');
  out.open('[');
  out.close(']');
  out.close(']');
  out.field("last", "x");
  out.close('}');
  EXPECT_EQ(
      out.text(),
      "{\n\"a \\\"b\\\" \\\\ \\u000a\": 1.5,\n\"list\": [\nnull,\n\"text: \",\ntrue,\n{},\n[]],\n\"last\": \"x\"}");
}

}  // namespace
