// SPDX-License-Identifier: Apache-2.0
// Claims: a size that cannot be is refused with std::bad_alloc, without asking upstream for less, and leaves the
// resource working.
#include <cstdint>
#include <limits>
#include <new>

#include "tests/support/conformance.h"

namespace strata::test {
namespace {

constexpr std::size_t kMost = std::numeric_limits<std::size_t>::max();
constexpr auto kHalf = static_cast<std::size_t>(std::numeric_limits<std::ptrdiff_t>::max());

/// Sizes that overflow when a header, an alignment or a rounding is added, at both ends of what is above PTRDIFF_MAX.
own_vector<std::size_t> impossible_sizes(std::size_t alignment) {
  own_vector<std::size_t> sizes;
  for (const std::size_t end : {kHalf, kMost}) {
    for (std::size_t k = 0; k <= 72; ++k) sizes.push_back(end - k);
    for (std::size_t k = 128; k <= std::size_t{1} << 21; k *= 2)
      sizes.insert(sizes.end(), {end - k + 1, end - k, end - k - 1});
  }
  for (const std::size_t around : {kHalf + 1, kMost - alignment + 1, kMost - 2 * alignment + 1}) {
    sizes.insert(sizes.end(), {around, around + 1, around + 15});
  }
  // Twice, 16 and 4096 times these wrap to something small.
  sizes.insert(sizes.end(), {kHalf + 2, kMost / 16 * 15 + 2, kMost - kMost / 4096 + 2});
  return sizes;
}

}  // namespace

TEST_P(Conformance, RefusesImpossibleSizesWithoutAskingForLess) {
  if (!known().refuses_impossible_sizes) GTEST_SKIP() << "not promised by this resource";
  instance tested = make();
  ownership_table table;
  table.allocate(*tested, 100, 8);
  for (std::size_t alignment = 1; alignment <= max_alignment(); alignment *= 8) {
    for (const std::size_t bytes : impossible_sizes(alignment)) {
      if (bytes < kHalf - (std::size_t{2} << 21)) continue;  // the sums above may wrap themselves
      recorder_.forget_requests();
      const balance before = recorder_.live();
      try {
        void* const block = ask(*tested, bytes, alignment);
        ADD_FAILURE() << "granted " << describe(block, bytes, alignment);
        tested->deallocate(block, bytes, alignment);
      } catch (const std::bad_alloc&) {
        EXPECT_PRED2(no_more_than, recorder_.live(), before)
            << "out of upstream, refusing " << bytes << " bytes, alignment " << alignment;
      }
      EXPECT_GE(recorder_.smallest_request(), bytes)
          << "bytes asked of upstream on behalf of " << bytes << ", alignment " << alignment;
      if (HasFailure()) return;  // thousands more would say the same
    }
    table.allocate(*tested, 100, alignment);
    table.verify();
  }
  table.deallocate_all(*tested);
}

TEST_P(Conformance, RefusesImpossibleSizesAsItsFirstRequest) {
  if (!known().refuses_impossible_sizes) GTEST_SKIP() << "not promised by this resource";
  for (const std::size_t bytes : {kHalf, kHalf + 1, kMost - 4096, kMost - 15, kMost}) {
    instance tested = make();
    EXPECT_THROW(std::ignore = ask(*tested, bytes, 16), std::bad_alloc) << bytes;
    ownership_table table;
    table.allocate(*tested, 100, 16);
    table.deallocate_all(*tested);
  }
}

}  // namespace strata::test
