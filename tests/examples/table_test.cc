// SPDX-License-Identifier: Apache-2.0
// Claims: medians, thousands and ratios are right; a measurement survives its way through a pipe unchanged, and other
// lines are refused.
#include <gtest/gtest.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

import index_headers;

namespace {

using index_headers::grouped;
using index_headers::measurement;
using index_headers::median;

TEST(Table, TakesTheMiddleOfTheRepetitions) {
  EXPECT_EQ(median({7}), 7U);
  EXPECT_EQ(median({9, 1, 5}), 5U);
  EXPECT_EQ(median({4, 1, 3, 2}), 2U);
}

TEST(Table, GroupsThousands) {
  EXPECT_EQ(grouped(0), "0");
  EXPECT_EQ(grouped(999), "999");
  EXPECT_EQ(grouped(1000), "1,000");
  EXPECT_EQ(grouped(1234567), "1,234,567");
}

TEST(Table, ComparesEachMemoryWithTheFirst) {
  measurement first;
  first.build_ns = 1'500'000'000;
  first.destroy_ns = 500'000'000;
  first.peak_bytes = 8 << 20;
  measurement second;
  second.build_ns = 1'000'000'000;
  second.destroy_ns = 0;
  second.peak_bytes = 12 << 20;
  index_headers::comparison all;
  all.counted.allocations = 12345;
  all.rows = {{index_headers::find_memory("new_delete"), {first}},
              {index_headers::find_memory("std_pool"), {second, second}}};
  EXPECT_EQ(index_headers::table(all),
            "memory              build s  destroy s   time s  ratio   peak MiB  ratio   allocations\n"
            "new_delete            1.500      0.500    2.000   1.00        8.0   1.00        12,345\n"
            "std_pool              1.000      0.000    1.000   0.50       12.0   1.50        12,345\n");
}

TEST(Measurement, SurvivesThePipe) {
  measurement sent;
  sent.build_ns = 1;
  sent.destroy_ns = 2;
  sent.peak_bytes = 3;
  sent.allocations = 4;
  sent.asked_bytes = 5;
  sent.files = 6;
  sent.identifiers = 7;
  sent.places = 8;
  sent.digest = UINT64_MAX;
  sent.answers = {"x: nowhere", "y: 1 line in 1 file, first a\n\\b\xff.h:1", ""};
  sent.report = "layer  live\n\npages     1\n";
  char* text = nullptr;
  std::size_t size = 0;
  std::FILE* out = ::open_memstream(&text, &size);
  write_lines(sent, out);
  std::fclose(out);
  const std::string lines(text, size);
  std::free(text);

  measurement got;
  for (std::size_t at = 0; at < lines.size();) {
    const std::size_t end = lines.find('\n', at);
    ASSERT_NE(end, std::string::npos);
    EXPECT_TRUE(parse_line(std::string_view(lines).substr(at, end - at), got));
    at = end + 1;
  }
  EXPECT_TRUE(same_index(got, sent));
  EXPECT_EQ(got.build_ns, sent.build_ns);
  EXPECT_EQ(got.destroy_ns, sent.destroy_ns);
  EXPECT_EQ(got.peak_bytes, sent.peak_bytes);
  EXPECT_EQ(got.allocations, sent.allocations);
  EXPECT_EQ(got.asked_bytes, sent.asked_bytes);
  EXPECT_EQ(got.report, sent.report);
}

TEST(Measurement, RefusesOtherLines) {
  measurement result;
  for (const char* line : {"", "digest", "digest x", "digest -1", "colour 3", "digest 99999999999999999999"}) {
    EXPECT_FALSE(parse_line(line, result)) << line;
  }
}

TEST(Measurement, SeesADifferentIndex) {
  const measurement a;
  measurement b;
  EXPECT_TRUE(same_index(a, b));
  b.digest = 1;
  EXPECT_FALSE(same_index(a, b));
  b = a;
  b.answers = {"x"};
  EXPECT_FALSE(same_index(a, b));
  b = a;
  b.build_ns = 1;
  EXPECT_TRUE(same_index(a, b));
}

}  // namespace
