// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory_resource>
#include <new>
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

  void add(const auto& sizes) {
    const std::size_t bytes = sizes.pick(random_);
    void* at = memory_->allocate(bytes, any_size_alignment);
    std::memset(at, 1, bytes);
    blocks_.at(count_++) = {at, bytes};
    bytes_ += bytes;
  }

  /// False when the memory has no more.
  [[nodiscard]] bool try_add(const auto& sizes) {
    try {
      add(sizes);
      return true;
    } catch (const std::bad_alloc&) {
      return false;
    }
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

/// Bytes of the largest block to be had now, to a thirty-second. Asked for from `most` downwards: what comes back to
/// memory that only grows is lost to it, so the first block is the only one.
std::size_t largest_block(std::pmr::memory_resource& memory, std::size_t most) {
  for (std::size_t bytes = most; bytes > 0; bytes -= bytes / 32 + 1) {
    try {
      memory.deallocate(memory.allocate(bytes, any_size_alignment), bytes, any_size_alignment);
      return bytes;
    } catch (const std::bad_alloc&) {  // a smaller one then
    }
  }
  return 0;
}

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

std::vector<double> measure_holes(subject& where, std::size_t bytes) {
  const drawn_sizes small(1, 512, 14);
  const log_uniform_sizes large(513, 32768);
  live_set set(where.memory(), bytes / 100);
  while (set.bytes() < bytes && set.try_add(small)) continue;
  for (std::size_t rest = set.count() / 2; set.count() > rest;) set.remove_any();
  while (set.bytes() < bytes && set.try_add(large)) continue;
  const auto live = static_cast<double>(set.bytes());
  if (!where.in_segment()) return {set.growth() / live};
  constexpr auto whole = static_cast<double>(segment_bytes);
  const auto largest = static_cast<double>(largest_block(where.memory(), segment_bytes - set.bytes()));
  while (set.try_add(large)) continue;
  return {(whole - largest) / live, 1 - largest / (whole - live), whole / static_cast<double>(set.bytes())};
}

}  // namespace bench
