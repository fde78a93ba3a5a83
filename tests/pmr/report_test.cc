// SPDX-License-Identifier: Apache-2.0
// Claims: a row shows each figure in a readable unit; below them stands where the memory goes; what is degraded follows with reason and cause; what does not fit
// is dropped, not overrun; rows of a second upstream are indented; a layer has one row.
#include <gtest/gtest.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

import strata.pmr;
import strata.mem;

namespace strata::pmr {
namespace {

std::string text_of(const report& r) {
  char* text = nullptr;
  std::size_t length = 0;
  std::FILE* const out = ::open_memstream(&text, &length);
  r.write(out);
  std::fclose(out);
  std::string copy(text, length);
  std::free(text);
  return copy;
}

TEST(Report, ShowsFiguresInReadableUnits) {
  report r;
  r.add("orders",
        {.live = 999,
         .kept = 1536,
         .overhead = 0,
         .upstream = std::size_t{5} << 30,
         .peak = 1024,
         .live_blocks = 7,
         .allocations = 12},
        {}, nullptr, std::size_t{2} << 20);
  EXPECT_EQ(
      text_of(r),
      "layer                 live        peak        kept    overhead    upstream     blocks  allocations  failures\n"
      "orders               999 B     1.0 KiB     1.5 KiB         0 B     5.0 GiB          7           12         0\n"
      "requested 999 B, handed out 999 B, carved 999 B, mapped 2.5 KiB, resident 2.0 MiB\n");
}

TEST(Report, SaysWhatIsDegradedAndWhy) {
  report r;
  const std::array<degradation, 1> states{{{"no large pages; reserve some", {"mmap", ENOMEM}, 3}}};
  r.add("orders", {}, states);
  EXPECT_NE(text_of(r).find("orders is degraded, 3 times: no large pages; reserve some (mmap: ENOMEM)\n"),
            std::string::npos);
}

TEST(Report, IndentsWhatIsBelowASecondUpstream) {
  report r;
  r.add("first", {}, {});
  {
    const report::second_upstream lower(r);
    r.add("second", {}, {});
    const report::second_upstream lowest(r);
    r.add("its second", {}, {});
  }
  r.add("both", {}, {});
  const std::string text = text_of(r);
  EXPECT_NE(text.find("\nfirst                  0 B "), std::string::npos) << text;
  EXPECT_NE(text.find("\n  second               0 B "), std::string::npos) << text;
  EXPECT_NE(text.find("\n    its second         0 B "), std::string::npos) << text;
  EXPECT_NE(text.find("\nboth                   0 B "), std::string::npos) << text;
}

TEST(Report, HasOneRowForEachLayer) {
  report r;
  r.add("one", {}, {}, &r);
  r.add("again", {}, {}, &r);
  r.add("unknown", {}, {});
  r.add("unknown", {}, {});
  ASSERT_EQ(r.rows().size(), 3U);
  EXPECT_STREQ(r.rows()[1].name, "unknown");
}

TEST(Report, DropsWhatDoesNotFit) {
  report r;
  const std::vector<degradation> many(10, degradation{"reason"});
  for (std::size_t i = 0; i < report::max_rows + 5; ++i) r.add("row", {}, many);
  EXPECT_EQ(r.rows().size(), report::max_rows);
  EXPECT_EQ(r.rows()[0].degradations, report::max_degradations);
}

}  // namespace
}  // namespace strata::pmr
