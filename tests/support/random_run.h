// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

namespace strata::test {

/// How long and from which seed tests with random steps run. Set from outside, e.g. bazel test
/// --test_env=STRATA_LONG=1:
///
///     STRATA_STEPS=n            n steps
///     STRATA_LONG=1             10^7 steps unless STRATA_STEPS says otherwise
///     STRATA_SEED=n | random    that seed | a fresh one
///
/// Without any: 10^5 steps (a tenth of it under ASan and TSan), seed 1, so that a change is judged on the run its neighbours had.
[[nodiscard]] std::size_t random_steps();

/// The seed of this program. Printed once, when first asked for.
[[nodiscard]] std::uint64_t random_seed();

/// Sizes and alignments as programs ask for them: every magnitude as likely as the next, but few above 32 KiB; small
/// alignments most often.
class random_requests {
 public:
  random_requests(std::uint64_t seed, std::size_t max_bytes, std::size_t max_alignment);

  [[nodiscard]] std::size_t bytes();                   ///< 0 … max_bytes
  [[nodiscard]] std::size_t alignment();               ///< a power of two, 1 … max_alignment
  [[nodiscard]] std::size_t below(std::size_t bound);  ///< 0 … bound - 1
  [[nodiscard]] bool once_in(std::size_t n) { return below(n) == 0; }

 private:
  std::uint64_t state_;
  std::size_t max_bytes_;
  std::size_t max_alignment_;
};

}  // namespace strata::test
