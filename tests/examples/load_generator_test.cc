// SPDX-License-Identifier: Apache-2.0
// Claims: the load generator gets nearly all of the memory that its machine has, until malloc(1) is refused; then its
// statistics are all there, and what they say adds up. In the heap they are lost.
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdio>
#include <sstream>
#include <string>

#include "tests/examples/program.h"
#include "tests/support/sanitizer.h"

namespace {

// A sanitizer's heap lies at addresses it reserved long ago: no limit ends it, only the generator's own.
constexpr bool has_limit = !strata::test::under_asan && !strata::test::under_tsan;

outcome generate(const std::string& where) {
  return run_program(
      "ASAN_OPTIONS=$ASAN_OPTIONS:allocator_may_return_null=1 TSAN_OPTIONS=$TSAN_OPTIONS:allocator_may_return_null=1 "
      "examples/load_generator/load_generator " +
      where);
}

struct figures {
  std::size_t sizes = 0;  // rows
  std::size_t got = 0;
  std::size_t refused = 0;
  std::size_t answers = 0;  // in histograms
  std::size_t events = 0;
};

figures figures_in(const std::string& text) {
  figures all;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::size_t bytes = 0;
    std::size_t got = 0;
    std::size_t refused = 0;
    double seconds = 0;
    if (words >> bytes >> got >> refused) {
      ++all.sizes;
      all.got += got;
      all.refused += refused;
      for (std::string bar; words >> bar;) all.answers += std::stoul(bar.substr(bar.find(':') + 1));
    } else if (char unit = 0; std::sscanf(line.c_str(), "%lf s%c", &seconds, &unit) == 2 && unit == ' ') {
      ++all.events;
    }
  }
  return all;
}

TEST(LoadGenerator, LivesToTell) {
  const outcome result = generate("");
  ASSERT_EQ(result.status, 0) << result.text;

  std::size_t blocks = 0;
  double mib = 0;
  ASSERT_EQ(std::sscanf(result.text.c_str(), "load: %zu blocks, %lf of 256 MiB", &blocks, &mib), 2) << result.text;
  EXPECT_GT(blocks, 200U);
  EXPECT_GT(mib, 200);
  EXPECT_LE(mib, 256);
  if (has_limit) {
    EXPECT_EQ(count(result.text, "malloc(1) is refused"), 1U) << result.text;
  }

  // Sizes from 1 MiB to 8 bytes: a row each, an event each, and one for begin and end. Each size ended by a refusal.
  const figures told = figures_in(result.text);
  EXPECT_EQ(told.got, blocks) << result.text;
  EXPECT_EQ(told.answers, told.got + told.refused) << result.text;
  EXPECT_EQ(told.events, 18U + 2U) << result.text;
  if (has_limit) {
    EXPECT_EQ(told.sizes, 18U) << result.text;
    EXPECT_EQ(told.refused, 18U) << result.text;
  }
  EXPECT_EQ(count(result.text, "\nmempool "), 1U) << result.text;
}

TEST(LoadGenerator, LosesWhatItKnowsWhenThatLiesInTheHeap) {
  if (!has_limit) GTEST_SKIP() << "the sanitizer's heap does not end";
  const outcome result = generate("heap");
  EXPECT_EQ(result.status, 1);
  EXPECT_EQ(result.text, "the statistics are lost: std::bad_alloc\n");
}

TEST(LoadGenerator, RefusesOtherMemories) {
  const outcome result = generate("disk");
  EXPECT_EQ(result.status, 2);
  EXPECT_EQ(count(result.text, "load_generator [pool|heap]"), 1U) << result.text;
}

}  // namespace
