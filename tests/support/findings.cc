// SPDX-License-Identifier: Apache-2.0
#include "tests/support/findings.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <numeric>

#include "tests/support/heap_count.h"

namespace strata::test {
namespace {

constexpr std::size_t kTold = 5;  // a broken resource finds thousands: the first few say it all

}  // namespace

const char* name_of(fault kind) noexcept {
  static constexpr std::array<const char*, fault_kinds> kNames{
      "null block",      "misaligned block", "overlapping blocks", "unknown pointer", "wrong size",
      "wrong alignment", "bad request",      "overwritten bounds", "lost contents",   "leaked block"};
  return kNames[static_cast<std::size_t>(kind)];
}

void findings::report(fault kind, const std::string& text) noexcept try {
  const uncounted own_business;
  std::size_t told = 0;
  {
    const std::lock_guard lock(mutex_);
    told = ++counts_[static_cast<std::size_t>(kind)];
    if (first_.empty()) first_ = std::string(name_of(kind)) + ": " + text;
  }
  if (how_ == manner::fail_the_test && told <= kTold) {
    ADD_FAILURE() << name_of(kind) << ": " << text << (told == kTold ? " (more of this kind are not told)" : "");
  }
} catch (...) {
  std::fputs("the report of a finding failed\n", stderr);
  ADD_FAILURE();
}

std::size_t findings::count() const noexcept {
  const std::lock_guard lock(mutex_);
  return std::accumulate(counts_.begin(), counts_.end(), std::size_t{0});
}

std::size_t findings::count(fault kind) const noexcept {
  const std::lock_guard lock(mutex_);
  return counts_[static_cast<std::size_t>(kind)];
}

std::string findings::first() const {
  const std::lock_guard lock(mutex_);
  return first_;
}

std::string describe(const void* block, std::size_t bytes, std::size_t alignment) {
  std::array<char, 96> text{};
  std::snprintf(text.data(), text.size(), "%p (%zu bytes, alignment %zu)", block, bytes, alignment);
  return text.data();
}

}  // namespace strata::test
