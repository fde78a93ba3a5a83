// SPDX-License-Identifier: Apache-2.0
#include "tests/support/random_run.h"

#include <algorithm>
#include <bit>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string_view>

#include "tests/support/sanitizer.h"

namespace strata::test {
namespace {

// A step costs ten times as much where every access is watched, and what is watched for is there in any of them.
constexpr std::size_t kSteps = under_asan || under_tsan ? 10'000 : 100'000;

std::string_view setting(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? std::string_view() : std::string_view(value);
}

}  // namespace

std::size_t random_steps() {
  if (const auto steps = setting("STRATA_STEPS"); !steps.empty()) return std::strtoull(steps.data(), nullptr, 10);
  return setting("STRATA_LONG") == "1" ? 10'000'000 : kSteps;
}

std::uint64_t random_seed() {
  static const std::uint64_t seed = [] {
    const auto text = setting("STRATA_SEED");
    std::uint64_t value = 1;
    if (text == "random") {
      std::random_device entropy;
      value = (std::uint64_t{entropy()} << 32U) | entropy();
    } else if (!text.empty()) {
      value = std::strtoull(text.data(), nullptr, 10);
    }
    std::printf("random steps: %zu, STRATA_SEED=%llu\n", random_steps(), static_cast<unsigned long long>(value));
    std::fflush(stdout);
    return value;
  }();
  return seed;
}

random_requests::random_requests(std::uint64_t seed, std::size_t max_bytes, std::size_t max_alignment)
    : state_(seed), max_bytes_(max_bytes), max_alignment_(max_alignment) {}

// splitmix64: good enough here, and an order of magnitude cheaper than a std engine where every access is instrumented.
std::size_t random_requests::below(std::size_t bound) {
  std::uint64_t x = state_ += 0x9E3779B97F4A7C15U;
  x = (x ^ (x >> 30U)) * 0xBF58476D1CE4E5B9U;
  x = (x ^ (x >> 27U)) * 0x94D049BB133111EBU;
  return (x ^ (x >> 31U)) % bound;
}

std::size_t random_requests::bytes() {
  const std::size_t most = once_in(16) ? max_bytes_ : std::min<std::size_t>(max_bytes_, 32768);
  const std::size_t magnitude = below(static_cast<std::size_t>(std::bit_width(most)) + 1);
  return std::min(most, below(std::size_t{1} << magnitude));
}

std::size_t random_requests::alignment() {
  if (!once_in(16)) return std::min(max_alignment_, std::size_t{1} << below(5));
  return std::size_t{1} << below(static_cast<std::size_t>(std::bit_width(max_alignment_)));
}

}  // namespace strata::test
