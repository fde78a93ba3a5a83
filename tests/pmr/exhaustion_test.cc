// SPDX-License-Identifier: Apache-2.0
// Claims: by policy the error is thrown as it is, or its sentence is printed and the process ends.
#include <gtest/gtest.h>

#include <new>
#include <string>

import strata.pmr;

namespace strata::pmr {
namespace {

const allocation_error short_of_room("pool", 100, 8, "nothing is free", room{64, 32});

TEST(Exhaustion, ThrowsTheErrorAsItIs) {
  try {
    fail(exhaustion::throws, short_of_room);
  } catch (const std::bad_alloc& e) {
    EXPECT_EQ(std::string(e.what()),
              "strata: pool cannot allocate 100 bytes aligned to 8: nothing is free (64 bytes free, 32 in one piece)");
  }
}

TEST(ExhaustionDeathTest, EndsTheProcessWithTheErrorsSentence) {
  EXPECT_DEATH(fail(exhaustion::aborts, short_of_room),
               "strata: pool cannot allocate 100 bytes aligned to 8: nothing is free .64 bytes free, 32 in one piece.");
}

}  // namespace
}  // namespace strata::pmr
