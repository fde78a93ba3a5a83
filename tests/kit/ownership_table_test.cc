// SPDX-License-Identifier: Apache-2.0
// Claims: ownership_table sees null, misaligned, overlapping and changed blocks, of every size, wherever the change is
// that it promises to see; it keeps what is right; blocks can change tables.
#include "tests/support/ownership_table.h"

#include <gtest/gtest-spi.h>
#include <gtest/gtest.h>

#include <array>

#include "tests/support/counting_default.h"
#include "tests/support/recording_resource.h"

namespace strata::test {
namespace {

constexpr auto kCountOnly = findings::manner::count_only;

class OwnershipTable : public testing::Test {
 protected:
  alignas(64) std::array<std::byte, 256> place_{};
  ownership_table table_{kCountOnly};
};

TEST_F(OwnershipTable, FindsNothingWrongWithWhatIsRight) {
  recording_resource memory;
  ownership_table table;
  for (const std::size_t bytes :
       {0U, 1U, 7U, 8U, 9U, 255U, 511U, 1023U, 1024U, 1025U, 4095U, 4096U, 4097U, 4608U, 5000U, 8192U, 1'000'000U})
    table.allocate(memory, bytes, 16);
  EXPECT_EQ(table.size(), 17U);
  EXPECT_EQ(table.bytes(), memory.live().bytes);
  table.verify();
  table.deallocate(memory, 3);
  table.deallocate_all(memory);
  EXPECT_EQ(table.size(), 0U);
  EXPECT_EQ(table.bytes(), 0U);
  EXPECT_EQ(table.found().count(), 0U);
}

TEST_F(OwnershipTable, SeesNull) {
  table_.enter(nullptr, 0, 1);
  EXPECT_EQ(table_.found().count(fault::null_block), 1U);
  EXPECT_EQ(table_.size(), 0U);
}

TEST_F(OwnershipTable, SeesMisalignment) {
  table_.enter(&place_[8], 8, 16);
  EXPECT_EQ(table_.found().count(fault::misaligned), 1U);
  EXPECT_EQ(table_.size(), 1U) << "it is a block all the same";
}

TEST_F(OwnershipTable, SeesOverlap) {
  table_.enter(&place_[64], 64, 1);
  table_.enter(&place_[128], 64, 1);
  table_.enter(&place_[32], 32, 1);
  EXPECT_EQ(table_.found().count(), 0U) << "neighbours are none";
  table_.enter(&place_[64], 8, 1);
  table_.enter(&place_[127], 1, 1);
  table_.enter(&place_[0], 33, 1);
  EXPECT_EQ(table_.found().count(fault::overlap), 3U);
  table_.enter(&place_[200], 0, 1);
  table_.enter(&place_[200], 0, 1);
  EXPECT_EQ(table_.found().count(fault::overlap), 4U) << "two zero-byte blocks in one place";
  EXPECT_EQ(table_.size(), 4U);
  table_.verify();
  EXPECT_EQ(table_.found().count(), 4U) << "no pattern was written over another";
}

TEST_F(OwnershipTable, SeesAChangeOfAnyByteOfASmallBlock) {
  for (std::size_t at = 0; at < 99; ++at) {
    ownership_table table(kCountOnly);
    table.enter(place_.data(), 99, 1);
    place_[at] = ~place_[at];
    table.verify();
    EXPECT_EQ(table.found().count(fault::lost_contents), 1U) << "byte " << at;
  }
}

TEST_F(OwnershipTable, SeesAChangeAtBothEndsAndInEveryPageOfALargeBlock) {
  recording_resource memory;
  constexpr std::size_t kBytes = 100'003;
  for (std::size_t at :
       {std::size_t{0}, std::size_t{255}, std::size_t{4096}, std::size_t{8192 + 15}, kBytes - 256, kBytes - 1}) {
    ownership_table table(kCountOnly);
    auto* const block = static_cast<std::byte*>(memory.allocate(kBytes, 8));
    table.enter(block, kBytes, 8);
    block[at] = ~block[at];
    table.deallocate_all(memory);
    EXPECT_EQ(table.found().count(fault::lost_contents), 1U) << "byte " << at;
  }
}

TEST_F(OwnershipTable, SeesAChangeOfOnePageOfFourWhereABlockIsLargerAndOfEachInSomeBlocks) {
  recording_resource memory;
  constexpr std::size_t kBytes = 1'000'003;
  std::array<std::size_t, 4> seen{};
  for (int i = 0; i < 100; ++i) {
    ownership_table table(kCountOnly);
    auto* const block = static_cast<std::byte*>(memory.allocate(kBytes, 8));
    table.enter(block, kBytes, 8);
    for (std::size_t page = 0; page < seen.size(); ++page) {
      std::byte& changed = block[(10 + page) * 4096];
      const std::size_t before = table.found().count(fault::lost_contents);
      changed = ~changed;
      table.verify();
      seen[page] += table.found().count(fault::lost_contents) - before;
      changed = ~changed;
    }
    EXPECT_EQ(table.found().count(fault::lost_contents), 1U);
    table.deallocate_all(memory);
  }
  for (const std::size_t times : seen) EXPECT_GT(times, 0U);
}

TEST_F(OwnershipTable, TellsItsBlocksFromAnotherTables) {
  ownership_table other(kCountOnly);
  table_.enter(place_.data(), 64, 1);
  other.enter(place_.data(), 64, 1);
  table_.verify();
  other.verify();
  EXPECT_EQ(table_.found().count(fault::lost_contents), 1U) << "the other's pattern is there";
  EXPECT_EQ(other.found().count(), 0U);
}

TEST_F(OwnershipTable, HandsABlockToAnother) {
  ownership_table other(kCountOnly);
  table_.enter(place_.data(), 64, 1);
  other.enter_owned(table_.take(0));
  EXPECT_EQ(table_.size(), 0U);
  EXPECT_EQ(other.size(), 1U);
  other.verify();
  EXPECT_EQ(other.found().count(), 0U);
  place_[10] = ~place_[10];
  other.verify();
  EXPECT_EQ(other.found().count(fault::lost_contents), 1U);
}

TEST_F(OwnershipTable, FailsTheTestThatUsesIt) {
  ownership_table table;
  EXPECT_NONFATAL_FAILURE(table.enter(nullptr, 8, 8), "null block");
}

TEST_F(OwnershipTable, IsNotSeenToUseTheHeap) {
  recording_resource memory;
  const counting_default watch;
  for (int i = 0; i < 100; ++i) table_.allocate(memory, 100, 8);
  table_.deallocate_all(memory);
  EXPECT_EQ(watch.used(), heap_use());
}

}  // namespace
}  // namespace strata::test
