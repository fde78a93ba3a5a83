// SPDX-License-Identifier: Apache-2.0
#include "tests/support/failing_resource.h"

#include <limits>

namespace strata::test {

void failing_resource::arm(std::size_t first, std::size_t last, double probability) {
  first_ = first;
  last_ = last;
  probability_ = probability;
  requests_ = 0;
  failures_ = 0;
}

void failing_resource::never() {
  const std::lock_guard lock(mutex_);
  arm(0, 0, 0);
}

void failing_resource::at(std::size_t n) {
  const std::lock_guard lock(mutex_);
  arm(n, n, 0);
}

void failing_resource::from(std::size_t n) {
  const std::lock_guard lock(mutex_);
  arm(n, std::numeric_limits<std::size_t>::max(), 0);
}

void failing_resource::at_random(double probability, std::uint64_t seed) {
  const std::lock_guard lock(mutex_);
  arm(0, 0, probability);
  random_.seed(seed);
}

std::size_t failing_resource::requests() const {
  const std::lock_guard lock(mutex_);
  return requests_;
}

std::size_t failing_resource::failures() const {
  const std::lock_guard lock(mutex_);
  return failures_;
}

void* failing_resource::do_allocate(std::size_t bytes, std::size_t alignment) {
  void (*fail)() = nullptr;
  {
    const std::lock_guard lock(mutex_);
    ++requests_;
    const bool chosen = first_ != 0 && requests_ >= first_ && requests_ <= last_;
    const bool unlucky = probability_ > 0 && std::bernoulli_distribution(probability_)(random_);
    if (chosen || unlucky) {
      ++failures_;
      fail = throw_;
    }
  }
  if (fail != nullptr) fail();  // outside the lock: nothing is held while throwing
  return upstream_->allocate(bytes, alignment);
}

}  // namespace strata::test
