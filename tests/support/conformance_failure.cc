// SPDX-License-Identifier: Apache-2.0
// Claims: an upstream that throws, at whatever step, changes nothing: live blocks keep their contents, upstream has out
// what it had, the exception comes through, and the resource works on. Deallocating never needs upstream to give
// anything.
#include <new>
#include <optional>

#include "tests/support/conformance.h"

namespace strata::test {
namespace {

struct upstream_error : std::bad_alloc {
  [[nodiscard]] const char* what() const noexcept override { return "upstream_error"; }
};

struct step {
  std::size_t bytes;
  std::size_t alignment;
};

/// Requests that make a pool open classes, grow runs, go past them, and go upstream for the large ones.
own_vector<step> script(std::size_t max_bytes, std::size_t max_alignment) {
  own_vector<step> steps;
  const auto add = [&](std::size_t bytes, std::size_t alignment) {
    if (bytes <= max_bytes && alignment <= max_alignment) steps.push_back({bytes, alignment});
  };
  for (std::size_t bytes = 1; bytes <= std::size_t{1} << 18; bytes *= 2) {
    add(bytes, 8);
    add(bytes + 1, 16);
  }
  for (int i = 0; i < 64; ++i) add(48, 8);
  for (int i = 0; i < 8; ++i) add(3000, 16);
  for (std::size_t alignment = 32; alignment <= 65536; alignment *= 8) add(alignment / 2, alignment);
  add(std::size_t{1} << 20, 4096);
  add(0, 1);
  return steps;
}

}  // namespace

/// After a request that upstream refused.
void Conformance::expect_unchanged(const balance& before, std::pmr::memory_resource& tested, std::size_t bytes,
                                   std::size_t alignment) {
  EXPECT_NE(upstream_.failures(), 0U) << "std::bad_alloc although upstream failed nothing";
  const balance after = recorder_.live();
  if (known().exact_on_failure) {
    EXPECT_EQ(after, before) << "out of upstream, after and before a failed request of " << bytes
                             << " bytes, alignment " << alignment;
    return;
  }
  upstream_.from(1);
  try {
    tested.deallocate(ask(tested, bytes, alignment), bytes, alignment);
  } catch (const std::bad_alloc&) {
    EXPECT_PRED2(no_more_than, recorder_.live(), after)
        << "a second failed request of " << bytes << " bytes, alignment " << alignment << " left more";
  }
}

/// Runs the script on fresh instances, the n-th request to upstream failing, for n = 1 … until none is left to fail.
TEST_P(Conformance, LeavesEverythingAsItWasWhenUpstreamFails) {
  if (!has_upstream()) GTEST_SKIP() << "a source has no upstream";
  const auto steps = script(max_bytes(), max_alignment());
  for (const bool all_behind_too : {false, true}) {
    bool failed = true;
    for (std::size_t n = 1; failed && !HasFailure(); ++n) {
      ASSERT_LE(n, 10'000U) << "upstream is asked without end";
      SCOPED_TRACE("upstream failed at request " + std::to_string(n));
      failed = false;
      if (all_behind_too) {
        upstream_.from(n);
      } else {
        upstream_.at(n);
      }
      std::optional<instance> tested;
      try {
        tested.emplace(make());
      } catch (const std::bad_alloc&) {
        EXPECT_EQ(recorder_.live(), balance()) << "left by a constructor that threw";
        EXPECT_NE(upstream_.failures(), 0U) << "std::bad_alloc although upstream failed nothing";
        failed = true;
        continue;
      }
      ownership_table table;
      for (const auto& [bytes, alignment] : steps) {
        const balance before = recorder_.live();
        try {
          table.allocate(**tested, bytes, alignment);
        } catch (const std::bad_alloc&) {
          expect_unchanged(before, **tested, bytes, alignment);
          upstream_.never();
          failed = true;
          table.verify();
          table.allocate(**tested, bytes, alignment);  // works on: nothing fails now
        }
      }
      failed = failed || upstream_.failures() != 0;  // met and survived by other means
      upstream_.never();
      if (known().returns_everything && n % 2 == 0) {
        table.verify();
        table.forget();  // every other time the resource has to remember its live blocks itself
      } else {
        table.deallocate_all(**tested);
      }
      tested.reset();
      EXPECT_EQ(recorder_.live().blocks, 0U) << "left after destruction";
    }
  }
}

TEST_P(Conformance, SurvivesAnUpstreamThatFailsAtRandom) {
  if (!has_upstream()) GTEST_SKIP() << "a source has no upstream";
  const std::uint64_t seed = random_seed();
  SCOPED_TRACE("STRATA_SEED=" + std::to_string(seed));
  random_requests random(seed, std::min<std::size_t>(max_bytes(), 65536), std::min<std::size_t>(max_alignment(), 4096));
  instance tested = make();
  ownership_table table;
  upstream_.at_random(0.2, seed);
  for (int i = 0; i < 5000 && !HasFailure(); ++i) {
    if (table.size() > 500 || (table.size() != 0 && random.once_in(3))) {
      table.deallocate(*tested, random.below(table.size()));
      continue;
    }
    const balance before = recorder_.live();
    try {
      table.allocate(*tested, random.bytes(), random.alignment());
    } catch (const std::bad_alloc&) {
      if (known().exact_on_failure)
        EXPECT_EQ(recorder_.live(), before) << "out of upstream, after and before a failed request";
    }
  }
  upstream_.never();
  table.verify();
  table.deallocate_all(*tested);
}

TEST_P(Conformance, LetsTheUpstreamsExceptionThrough) {
  if (!has_upstream()) GTEST_SKIP() << "a source has no upstream";
  if (!known().grows) GTEST_SKIP() << "it does not ask upstream again";
  upstream_.throwing<upstream_error>();
  instance tested = make();
  upstream_.from(1);
  ownership_table table;
  try {
    // What is in reserve may still serve: ask until it is used up.
    const std::size_t bytes = std::min<std::size_t>(max_bytes(), 100'000);
    while (table.bytes() < std::size_t{256} << 20 && !HasFailure())
      table.allocate(*tested, bytes, std::min<std::size_t>(max_alignment(), 16));
    ADD_FAILURE() << "granted " << table.bytes() << " bytes without upstream";
  } catch (const upstream_error&) {
  } catch (const std::bad_alloc& other) {
    EXPECT_TRUE(known().translates_errors) << "upstream threw a type of its own, the resource: " << other.what();
  } catch (...) {
    ADD_FAILURE() << "threw what is no std::bad_alloc";
  }
  EXPECT_NE(upstream_.failures(), 0U);
  upstream_.never();
  table.allocate(*tested, 64, 8);
  table.deallocate_all(*tested);
}

TEST_P(Conformance, DeallocatesWithoutAskingUpstreamAndWithoutThrowing) {
  if (!has_upstream()) GTEST_SKIP() << "a source has no upstream";
  const std::uint64_t seed = random_seed();
  random_requests random(seed, std::min<std::size_t>(max_bytes(), 65536), std::min<std::size_t>(max_alignment(), 4096));
  instance tested = make();
  ownership_table table;
  for (int i = 0; i < 1000; ++i) table.allocate(*tested, random.bytes(), random.alignment());
  upstream_.from(1);
  while (table.size() != 0) {
    const owned_block block = table.take(random.below(table.size()));
    try {
      tested->deallocate(block.memory, block.bytes, block.alignment);
    } catch (...) {
      ADD_FAILURE() << "deallocate threw";
    }
    ASSERT_EQ(upstream_.requests(), 0U) << "deallocating " << block.bytes << " bytes, alignment " << block.alignment;
  }
  upstream_.never();
}

}  // namespace strata::test
