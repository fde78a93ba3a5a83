// SPDX-License-Identifier: Apache-2.0
// Claims: failing_resource fails the requests it was told to and no other, with the exception it was told;
// until_it_succeeds() tries every step once and ends.
#include "tests/support/failing_resource.h"

#include <gtest/gtest-spi.h>
#include <gtest/gtest.h>

#include <vector>

#include "tests/support/recording_resource.h"

namespace strata::test {
namespace {

struct special : std::bad_alloc {};

class FailingResource : public testing::Test {
 protected:
  /// Which of `n` requests fail.
  std::vector<std::size_t> failed_of(std::size_t n) {
    std::vector<std::size_t> failed;
    for (std::size_t i = 1; i <= n; ++i) {
      try {
        failing_.deallocate(failing_.allocate(8, 8), 8, 8);
      } catch (const std::bad_alloc&) {
        failed.push_back(i);
      }
    }
    return failed;
  }

  recording_resource recorder_;
  failing_resource failing_{&recorder_};
};

using numbers = std::vector<std::size_t>;

TEST_F(FailingResource, FailsNothingUntilTold) { EXPECT_EQ(failed_of(10), numbers()); }

TEST_F(FailingResource, FailsTheRequestGiven) {
  failing_.at(3);
  EXPECT_EQ(failed_of(10), numbers{3});
  EXPECT_EQ(failing_.requests(), 10U);
  EXPECT_EQ(failing_.failures(), 1U);
  failing_.at(1);
  EXPECT_EQ(failed_of(2), numbers{1}) << "counted anew";
}

TEST_F(FailingResource, FailsAllFromTheRequestGiven) {
  failing_.from(3);
  EXPECT_EQ(failed_of(5), (numbers{3, 4, 5}));
  failing_.never();
  EXPECT_EQ(failed_of(5), numbers());
}

TEST_F(FailingResource, FailsAtRandomTheSameForTheSameSeed) {
  failing_.at_random(0.3, 42);
  const auto first = failed_of(1000);
  EXPECT_GT(first.size(), 200U);
  EXPECT_LT(first.size(), 400U);
  failing_.at_random(0.3, 42);
  EXPECT_EQ(failed_of(1000), first);
  failing_.at_random(0.3, 43);
  EXPECT_NE(failed_of(1000), first);
}

TEST_F(FailingResource, AsksUpstreamForNothingItFails) {
  failing_.from(1);
  failed_of(5);
  EXPECT_EQ(recorder_.request_count(), 0U);
}

TEST_F(FailingResource, ThrowsTheTypeGiven) {
  failing_.throwing<special>();
  failing_.at(1);
  EXPECT_THROW(failing_.deallocate(failing_.allocate(8, 8), 8, 8), special);
}

TEST_F(FailingResource, IsTriedUntilItSucceeds) {
  const auto three_requests = [this] {
    const std::vector<int, std::pmr::polymorphic_allocator<int>> a(1, &failing_);
    const std::vector<int, std::pmr::polymorphic_allocator<int>> b(1, &failing_);
    const std::vector<int, std::pmr::polymorphic_allocator<int>> c(1, &failing_);
  };
  int checks = 0;
  EXPECT_EQ(until_it_succeeds(failing_, three_requests, [&] { ++checks; }), 3U);
  EXPECT_EQ(checks, 3);
  EXPECT_EQ(failing_.failures(), 0U) << "nothing fails any more";
  EXPECT_EQ(until_it_succeeds(failing_, [] {}), 0U);
}

TEST_F(FailingResource, IsTriedNoMoreOftenThanTheLimit) {
  const auto always_one_more = [this] {
    for (;;) failing_.deallocate(failing_.allocate(8, 8), 8, 8);
  };
  EXPECT_NONFATAL_FAILURE(until_it_succeeds(failing_, always_one_more, [] {}, 5), "still failing after 5 attempts");
}

TEST_F(FailingResource, IsNotBlamedForFailuresItDidNotCause) {
  EXPECT_NONFATAL_FAILURE(until_it_succeeds(failing_, [] { throw std::bad_alloc(); }),
                          "although upstream failed nothing");
}

}  // namespace
}  // namespace strata::test
