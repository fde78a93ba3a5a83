// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory_resource>
#include <vector>

module bench:footprint.impl;

import :footprint;
import :random;
import :subject;
import :workload;

import process_usage;

namespace bench {
namespace {

struct block {
  void* at;
  std::size_t bytes;
};

/// Blocks in some memory, written to in full, and how much the process grew for them.
class live_set {
 public:
  /// The books are made, and touched, before the process is first measured.
  live_set(std::pmr::memory_resource& memory, std::size_t most_blocks)
      : memory_(opaque(&memory)), blocks_(most_blocks), before_(process_usage::resident_bytes()) {
    if (before_ == 0) throw cannot("the system does not say how much memory is resident");
  }
  live_set(const live_set&) = delete;
  live_set& operator=(const live_set&) = delete;
  ~live_set() { clear(); }

  [[nodiscard]] std::size_t bytes() const { return bytes_; }
  [[nodiscard]] std::size_t count() const { return count_; }

  void add(const log_uniform_sizes& sizes) {
    const std::size_t bytes = sizes.pick(random_);
    void* at = memory_->allocate(bytes, any_size_alignment);
    std::memset(at, 1, bytes);
    blocks_.at(count_++) = {at, bytes};
    bytes_ += bytes;
  }

  void remove_any() {
    block& chosen = blocks_[random_.below(count_)];
    memory_->deallocate(chosen.at, chosen.bytes, any_size_alignment);
    bytes_ -= chosen.bytes;
    chosen = blocks_[--count_];
  }

  void clear() {
    while (count_ != 0) remove_any();
  }

  [[nodiscard]] double growth() const {
    const std::uint64_t now = process_usage::resident_bytes();
    return now < before_ ? 0 : static_cast<double>(now - before_);
  }

 private:
  std::pmr::memory_resource* memory_;
  random_numbers random_{3};
  std::vector<block> blocks_;  // the first count_ of them
  std::size_t count_ = 0;
  std::size_t bytes_ = 0;
  std::uint64_t before_;
};

}  // namespace

std::vector<double> measure_live(subject& where, std::size_t live, std::uint64_t operations) {
  const log_uniform_sizes sizes(16, 1024);
  live_set set(where.memory(), live);
  while (set.count() < live) set.add(sizes);
  for (std::uint64_t i = 0; i < operations; ++i) {
    set.remove_any();
    set.add(sizes);
  }
  return {set.growth() / static_cast<double>(set.bytes())};
}

std::vector<double> measure_refill(subject& where, std::size_t bytes, std::uint64_t /*operations*/) {
  const log_uniform_sizes small(16, 256);
  const log_uniform_sizes large(257, 4096);
  live_set set(where.memory(), bytes / 16);
  while (set.bytes() < bytes) set.add(small);
  for (std::size_t rest = set.count() / 10; set.count() > rest;) set.remove_any();
  while (set.bytes() < bytes) set.add(large);
  const auto asked = static_cast<double>(set.bytes());
  const double refill = set.growth() / asked;
  set.clear();
  where.trim();
  return {refill, set.growth() / asked};
}

}  // namespace bench
