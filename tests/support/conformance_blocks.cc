// SPDX-License-Identifier: Apache-2.0
// Claims: every block is aligned as asked, has all its bytes to itself and keeps them; zero bytes are a block like any
// other.
#include <algorithm>
#include <limits>
#include <new>

#include "tests/support/conformance.h"

namespace strata::test {
namespace {

/// 0, and every power of two to 2^20 with its neighbours, the ends included, as far as `max_bytes` goes.
own_vector<std::size_t> sizes_around_powers(std::size_t max_bytes) {
  own_vector<std::size_t> sizes{0};
  for (std::size_t power = 1; power <= std::size_t{1} << 20; power *= 2) {
    sizes.insert(sizes.end(), {power - 1, power, power + 1});
  }
  std::sort(sizes.begin(), sizes.end());
  sizes.erase(std::unique(sizes.begin(), sizes.end()), sizes.end());
  sizes.erase(std::upper_bound(sizes.begin(), sizes.end(), max_bytes), sizes.end());
  return sizes;
}

}  // namespace

TEST_P(Conformance, AlignsEveryBlockAndGivesAllItsBytes) {
  const auto sizes = sizes_around_powers(max_bytes());
  instance tested = make();
  ownership_table table;
  for (std::size_t alignment = 1; alignment <= max_alignment(); alignment *= 2) {
    for (const std::size_t bytes : sizes) {
      // Three at once: the first block of a fresh run may be aligned by luck, the next shows the step between blocks.
      for (int i = 0; i < 3; ++i) table.allocate(*tested, bytes, alignment);
      table.deallocate_all(*tested);
    }
  }
}

TEST_P(Conformance, AlignsBlocksThatLiveTogether) {
  const auto sizes = sizes_around_powers(std::min<std::size_t>(max_bytes(), 4097));
  instance tested = make();
  ownership_table table;
  for (const std::size_t bytes : sizes) {
    for (std::size_t alignment = 1; alignment <= std::min<std::size_t>(max_alignment(), 4096); alignment *= 2) {
      if (table.bytes() + bytes + alignment <= known().max_live_bytes) table.allocate(*tested, bytes, alignment);
    }
  }
  table.verify();
  table.deallocate_all(*tested);
}

TEST_P(Conformance, RefusesAlignmentsAboveItsOwnLimit) {
  constexpr std::size_t kLargest = std::size_t{1} << (std::numeric_limits<std::size_t>::digits - 1);
  instance tested = make();
  ownership_table table;
  if (known().max_alignment < std::size_t{1} << 21) {
    for (std::size_t alignment = known().max_alignment * 2; alignment <= std::size_t{1} << 21; alignment *= 2) {
      EXPECT_THROW(table.allocate(*tested, 8, alignment), std::bad_alloc) << "alignment " << alignment;
    }
  }
  if (known().refuses_impossible_sizes) {
    // No address but null is aligned so.
    EXPECT_THROW(table.allocate(*tested, 8, kLargest), std::bad_alloc) << "alignment " << kLargest;
  }
  table.allocate(*tested, 8, 8);
  table.deallocate_all(*tested);
}

TEST_P(Conformance, GivesEveryZeroByteRequestABlockOfItsOwn) {
  instance tested = make();
  ownership_table table;  // counts a zero-byte block as one byte wide: two at one address overlap
  for (std::size_t alignment = 1; alignment <= max_alignment(); alignment *= 2) {
    if (9 * alignment > known().max_live_bytes) break;
    for (int i = 0; i < 8; ++i) table.allocate(*tested, 0, alignment);
    table.allocate(*tested, 1, alignment);
  }
  table.deallocate_all(*tested);
}

}  // namespace strata::test
