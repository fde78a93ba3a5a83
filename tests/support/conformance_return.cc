// SPDX-License-Identifier: Apache-2.0
// Claims: nothing is taken that is not given back, with size and alignment as taken (recorder_ checks each), and
// release() gives all back and leaves a resource that works.
#include "tests/support/conformance.h"

namespace strata::test {
namespace {

void fill(instance& tested, ownership_table& table, std::size_t max_bytes, std::size_t max_alignment) {
  random_requests random(random_seed(), std::min<std::size_t>(max_bytes, 200'000),
                         std::min<std::size_t>(max_alignment, 4096));
  for (int i = 0; i < 500; ++i) table.allocate(*tested, random.bytes(), random.alignment());
}

}  // namespace

TEST_P(Conformance, ReturnsEverythingWhenDestroyed) {
  if (!has_upstream()) GTEST_SKIP() << "a source has no upstream";
  {
    instance tested = make();
    const balance fresh = recorder_.live();
    ownership_table table;
    fill(tested, table, max_bytes(), max_alignment());
    table.verify();
    if (!known().returns_everything) {
      table.deallocate_all(*tested);
      EXPECT_EQ(recorder_.live(), fresh) << "with no block live";
    }
  }
  EXPECT_EQ(recorder_.live(), balance()) << "after destruction";
  {
    const instance unused = make();
  }
  EXPECT_EQ(recorder_.live(), balance()) << "after destruction of one never used";
}

/// Less than when fresh is welcome: what construction took may go too.
TEST_P(Conformance, ReturnsEverythingAtReleaseAndWorksOn) {
  instance tested = make();
  const balance fresh = recorder_.live();
  if (!tested.release()) GTEST_SKIP() << "has no release()";
  EXPECT_PRED2(no_more_than, recorder_.live(), fresh) << "release() of one never used";
  for (int round = 0; round < 3; ++round) {
    ownership_table table;
    fill(tested, table, max_bytes(), max_alignment());
    table.verify();
    tested.release();
    EXPECT_PRED2(no_more_than, recorder_.live(), fresh) << "after release()";
    tested.release();
    EXPECT_PRED2(no_more_than, recorder_.live(), fresh) << "after a second release()";
  }
  ownership_table table;
  fill(tested, table, max_bytes(), max_alignment());
  table.deallocate_all(*tested);
}

}  // namespace strata::test
