// SPDX-License-Identifier: Apache-2.0
module;
#if defined(__x86_64__)
#include <x86intrin.h>
#endif

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory_resource>
#include <vector>

module bench:tail.impl;

import :random;
import :subject;
import :tail;
import :workload;

namespace bench {
namespace {

#if defined(__x86_64__)
constexpr bool kCounts = true;

/// Everything before has finished; nothing after has begun.
inline std::uint64_t cycles() {
  _mm_lfence();
  const std::uint64_t now = __rdtsc();
  _mm_lfence();
  return now;
}
#else
constexpr bool kCounts = false;
inline std::uint64_t cycles() { return 0; }
#endif

/// The figure that `share` of all figures do not exceed.
double percentile(std::vector<std::uint32_t>& figures, double share) {
  const auto at = figures.begin() + static_cast<std::ptrdiff_t>(share * static_cast<double>(figures.size() - 1));
  std::nth_element(figures.begin(), at, figures.end());
  return static_cast<double>(*at);
}

struct block {
  void* at;
  std::size_t bytes;
};

}  // namespace

std::vector<double> measure_tail(subject& where, std::size_t live, std::uint64_t operations) {
  if (!kCounts) throw cannot("this processor has no time stamp counter that we know");
  std::pmr::memory_resource* const memory = opaque(&where.memory());
  const log_uniform_sizes sizes(16, 1024);
  random_numbers random(8);
  std::vector<std::uint32_t> taken(operations);
  std::vector<std::uint32_t> counter(operations);
  std::vector<block> blocks(live);
  for (block& b : blocks) {
    b.bytes = sizes.pick(random);
    b.at = memory->allocate(b.bytes, any_size_alignment);
    touch(b.at, b.bytes);
  }
  const std::uint64_t warm_up = operations / 10;
  for (std::uint64_t i = 0; i < warm_up + operations; ++i) {
    block& chosen = blocks[random.below(live)];
    memory->deallocate(chosen.at, chosen.bytes, any_size_alignment);
    chosen.bytes = sizes.pick(random);
    const std::uint64_t start = cycles();
    chosen.at = memory->allocate(chosen.bytes, any_size_alignment);
    const std::uint64_t end = cycles();
    const std::uint64_t nothing = cycles();
    touch(chosen.at, chosen.bytes);
    if (i < warm_up) continue;
    taken[i - warm_up] = static_cast<std::uint32_t>(end - start);
    counter[i - warm_up] = static_cast<std::uint32_t>(nothing - end);
  }
  for (const block& b : blocks) memory->deallocate(b.at, b.bytes, any_size_alignment);
  const double own = percentile(counter, 0.5);
  std::vector<double> figures;
  for (const double share : {0.5, 0.99, 0.999}) figures.push_back(std::max(0.0, percentile(taken, share) - own));
  return figures;
}

}  // namespace bench
