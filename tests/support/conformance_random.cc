// SPDX-License-Identifier: Apache-2.0
// Claim: any sequence of requests is served with aligned, disjoint blocks that keep their contents.
#include "tests/support/conformance.h"

namespace strata::test {

TEST_P(Conformance, KeepsEveryBlockIntactUnderRandomOperations) {
  constexpr std::size_t kBlocks = 2000;     // the table swings between few and this many
  constexpr std::size_t kStepsEach = 1000;  // steps before a resource that only grows is replaced
  const std::uint64_t seed = random_seed();
  SCOPED_TRACE("STRATA_SEED=" + std::to_string(seed));
  random_requests random(seed, max_bytes(), max_alignment());

  const std::size_t steps = random_steps();
  std::size_t step = 0;
  while (step < steps && !HasFailure()) {
    instance tested = make();
    ownership_table table;
    const std::size_t stop = known().reuses_memory ? steps : std::min(steps, step + kStepsEach);
    bool growing = true;
    for (; step < stop && !HasFailure(); ++step) {
      if (table.size() == 0) growing = true;
      if (table.size() >= kBlocks || table.bytes() >= known().max_live_bytes / 2) growing = false;
      if (table.size() != 0 && random.once_in(3) == growing) {
        table.deallocate(*tested, random.below(table.size()));
        continue;
      }
      const std::size_t bytes = random.bytes();
      const std::size_t alignment =
          bytes > 65536 || random.once_in(32) ? random.alignment() : std::size_t{1} << random.below(5);
      if (alignment > max_alignment() || table.bytes() + bytes + alignment > known().max_live_bytes) continue;
      table.allocate(*tested, bytes, alignment);
    }
    table.deallocate_all(*tested);
  }
}

}  // namespace strata::test
