// SPDX-License-Identifier: Apache-2.0
//
// All units of a program are compiled in one configuration, the one asked for:
//   - interface (through its BMI), implementation unit and importer agree on sanitizers, assertions, optimisation;
//   - they are what --config and -c say (STRATA_CONFIG comes from .bazelrc, COMPILATION_MODE from Bazel);
//   - the sanitizer is not only asked for: it reports a fault planted in each of the three.
#include <gtest/gtest.h>

#include <climits>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>

#include "tests/build/build_facts.h"

import strata.build_probe;

namespace {

namespace probe = strata::build_probe;

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

constexpr build_facts facts_of_this_unit = STRATA_BUILD_FACTS;

void increment_here(int* number) noexcept { *number = *number + 1; }

TEST(Configuration, IsTheSameInInterfaceImplementationAndImporter) {
  EXPECT_EQ(probe::interface_facts(), facts_of_this_unit);
  EXPECT_EQ(probe::implementation_facts(), facts_of_this_unit);
}

TEST(Configuration, HasTheSanitizerAskedFor) {
  const std::string config = environment("STRATA_CONFIG");
  ASSERT_NE(config, "") << "run through this workspace's .bazelrc";
  EXPECT_EQ(facts_of_this_unit.address_sanitizer, config == "asan" || config == "asan_ubsan") << config;
  EXPECT_EQ(facts_of_this_unit.thread_sanitizer, config == "tsan") << config;
  EXPECT_EQ(facts_of_this_unit.undefined_sanitizer, config == "ubsan" || config == "asan_ubsan") << config;
}

TEST(Configuration, ChecksUnlessOptimised) {
  const bool opt = environment("COMPILATION_MODE") == "opt";
  EXPECT_EQ(facts_of_this_unit.assertions, !opt);
  EXPECT_TRUE(facts_of_this_unit.optimised);
  if (environment("STRATA_CONFIG") == "opt") {
    EXPECT_TRUE(opt);
    EXPECT_FALSE(facts_of_this_unit.checked_library);
  } else {
    EXPECT_TRUE(facts_of_this_unit.checked_library);
  }
}

class SanitizerDeathTest : public testing::TestWithParam<void (*)(int*) noexcept> {
 protected:
  SanitizerDeathTest() { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};

TEST_P(SanitizerDeathTest, ReportsThePlantedFault) {
  void (*const increment)(int*) noexcept = GetParam();
  if (facts_of_this_unit.address_sanitizer) {
    const auto four = std::make_unique<int[]>(4);
    EXPECT_DEATH(increment(four.get() + 4), "AddressSanitizer: heap-buffer-overflow");
  }
  if (facts_of_this_unit.undefined_sanitizer) {
    int largest = INT_MAX;
    EXPECT_DEATH(increment(&largest), "signed integer overflow");
  }
  if (facts_of_this_unit.thread_sanitizer) {
    EXPECT_DEATH(
        {
          int shared = 0;
          std::thread one(increment, &shared);
          std::thread two(increment, &shared);
          one.join();
          two.join();
        },
        "ThreadSanitizer: data race");
  }
  int number = 1;
  increment(&number);
  EXPECT_EQ(number, 2);
}

INSTANTIATE_TEST_SUITE_P(In, SanitizerDeathTest,
                         testing::Values(&probe::increment_inline, &probe::increment_out_of_line, &increment_here));

}  // namespace
