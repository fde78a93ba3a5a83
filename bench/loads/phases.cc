// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory_resource>
#include <numeric>
#include <vector>

module bench:phases.impl;

import :crew;
import :phases;
import :random;
import :subject;
import :workload;

namespace bench {
namespace {

constexpr std::size_t kBlocks = 500;
constexpr std::array<std::size_t, 3> kTimed{kBlocks, kBlocks / 2, kBlocks};  // blocks of each phase
constexpr std::uint64_t kMostNs = 100'000;                                   // for a repetition, on average

std::uint64_t wall_ns() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(now).count());
}

/// Of two in the middle the greater.
double median(std::vector<double>& figures) {
  const auto middle = figures.begin() + static_cast<std::ptrdiff_t>(figures.size() / 2);
  std::nth_element(figures.begin(), middle, figures.end());
  return *middle;
}

/// One thread's part. Threads begin at different places of the table of sizes, and go on where they were.
class alignas(128) worker {  // threads write to lines of their own
 public:
  worker(std::pmr::memory_resource& memory, std::size_t number, std::uint64_t repetitions)
      : memory_(opaque(&memory)), next_size_(number * kBlocks), repetitions_(repetitions) {
    for (auto& samples : ns_) samples.reserve(repetitions_);
  }

  /// Warms up with a tenth, and goes on until nobody is `busy`: who comes late is not to be measured alone.
  void run(std::atomic<std::size_t>& busy) {
    run(repetitions_ / 10 + 1);
    for (auto& samples : ns_) samples.clear();
    run(repetitions_);
    --busy;
    while (busy != 0) once();
  }

  /// Of a block in that phase. Pre: it has run.
  [[nodiscard]] double median_ns(std::size_t phase) {
    return median(ns_[phase]) / static_cast<double>(kTimed.at(phase));
  }

  /// Of a block in any phase. Pre: it has run.
  [[nodiscard]] double mean_ns() const {
    double all = 0;
    for (const auto& samples : ns_) all = std::accumulate(samples.begin(), samples.end(), all);
    return all / static_cast<double>(ns_[0].size() * (kTimed[0] + kTimed[1] + kTimed[2]));
  }

 private:
  struct block {
    void* at;
    std::size_t bytes;
  };

  void run(std::uint64_t repetitions) {
    const std::uint64_t start = wall_ns();
    do {
      once();
    } while (ns_[0].size() < repetitions && wall_ns() - start < repetitions * kMostNs);
  }

  void once() {
    const std::array<std::uint64_t, 4> at{wall_ns(), allocate(0), free_every_second(), allocate(kBlocks)};
    if (ns_[0].size() < repetitions_) {
      for (std::size_t i = 0; i < ns_.size(); ++i) ns_[i].push_back(static_cast<double>(at[i + 1] - at[i]));
    }
    for (std::size_t i = 1; i < kBlocks; i += 2) deallocate(blocks_[i]);
    for (std::size_t i = kBlocks; i < 2 * kBlocks; ++i) deallocate(blocks_[i]);
  }

  /// This and the next return the time when they are done.
  std::uint64_t allocate(std::size_t from) {
    for (std::size_t i = from; i < from + kBlocks; ++i) {
      const std::size_t bytes = sizes_[next_size_++];
      blocks_[i] = {memory_->allocate(bytes, any_size_alignment), bytes};
      touch(blocks_[i].at, bytes);
    }
    return wall_ns();
  }

  std::uint64_t free_every_second() {
    for (std::size_t i = 0; i < kBlocks; i += 2) deallocate(blocks_[i]);
    return wall_ns();
  }

  inline void deallocate(const block& b) { memory_->deallocate(b.at, b.bytes, any_size_alignment); }

  std::pmr::memory_resource* memory_;
  const drawn_sizes& sizes_ = phase_sizes();
  std::size_t next_size_;
  std::uint64_t repetitions_;
  std::array<block, 2 * kBlocks> blocks_{};
  std::array<std::vector<double>, 3> ns_;  // by phase
};

}  // namespace

const drawn_sizes& phase_sizes() {
  static const drawn_sizes sizes(1, 512, 37);
  return sizes;
}

std::vector<double> measure_phases(subject& where, std::size_t threads, std::uint64_t repetitions) {
  std::vector<worker> workers;
  for (std::size_t i = 0; i < threads; ++i) workers.emplace_back(where.memory(), i, repetitions);
  crew crew(threads);
  std::atomic<std::size_t> busy{threads};
  crew.run([&](std::size_t i) { workers[i].run(busy); });
  where.verify();

  std::vector<double> figures;
  for (std::size_t phase = 0; phase < kTimed.size(); ++phase) {
    std::vector<double> of_threads;
    for (worker& w : workers) of_threads.push_back(w.median_ns(phase));
    figures.push_back(median(of_threads));
  }
  double slowest = 0;
  for (const worker& w : workers) slowest = std::max(slowest, w.mean_ns());
  figures.push_back(slowest);
  return figures;
}

}  // namespace bench
