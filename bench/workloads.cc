// SPDX-License-Identifier: Apache-2.0
module;
#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <memory_resource>
#include <span>
#include <string>
#include <string_view>
#include <vector>

module bench:workloads.impl;

import :batch;
import :churn;
import :containers;
import :footprint;
import :groups;
import :pair;
import :phases;
import :prodcons;
import :reads;
import :strings;
import :subject;
import :tail;
import :threads;
import :unit;
import :workload;
import :workloads;

namespace bench {
namespace {

using std::pmr::memory_resource;
using load_maker = std::unique_ptr<load>(memory_resource*, std::size_t);

template <std::size_t Bytes, std::size_t Alignment = alignof(std::max_align_t)>
std::unique_ptr<load> pair(memory_resource* memory, std::size_t /*live*/) {
  return std::make_unique<pair_load>(memory, Bytes, Alignment);
}

std::unique_ptr<load> life(memory_resource* memory, std::size_t live) {
  return std::make_unique<life_load>(memory, live, 64);
}

std::unique_ptr<load> server(memory_resource* memory, std::size_t /*live*/) {
  return std::make_unique<server_load>(memory);
}

template <batch_load::order Order>
std::unique_ptr<load> batch(memory_resource* memory, std::size_t live) {
  return std::make_unique<batch_load>(memory, live, 64, Order);
}

template <std::size_t Least, std::size_t Most>
std::unique_ptr<load> churn(memory_resource* memory, std::size_t live) {
  return std::make_unique<churn_load>(memory, live, Least, Most);
}

template <std::size_t Threads>
std::unique_ptr<load> threads_churn(memory_resource* memory, std::size_t live) {
  return std::make_unique<threads_churn_load>(memory, Threads, live, 16, 1024);
}

std::unique_ptr<load> slots(memory_resource* memory, std::size_t live) {
  return std::make_unique<slots_load>(memory, 2, live, 16, 1024);
}

template <std::size_t Least, std::size_t Most>
std::unique_ptr<load> prodcons(memory_resource* memory, std::size_t live) {
  return std::make_unique<prodcons_load>(memory, live, Least, Most);
}

template <class Load>
std::unique_ptr<load> container(memory_resource* memory, std::size_t live) {
  return std::make_unique<Load>(memory, live);
}

template <reads_load::order Order>
std::unique_ptr<load> reads(memory_resource* memory, std::size_t bytes) {
  return std::make_unique<reads_load>(memory, bytes, Order);
}

template <auto Measure>
std::vector<double> of_live(subject& where, const workload& what, std::uint64_t operations) {
  return Measure(where, what.live, operations);
}

std::vector<double> phases(subject& where, const workload& what, std::uint64_t repetitions) {
  return measure_phases(where, what.threads, repetitions);
}

std::vector<double> holes(subject& where, const workload& what, std::uint64_t /*operations*/) {
  return measure_holes(where, what.live);
}

constexpr workload timed(const char* name, const char* what, std::size_t live, std::uint64_t operations,
                         load_maker* make, unsigned threads = 1) {
  return {name, what, {name}, unit::nanoseconds, threads, live, operations, make, nullptr};
}

using enum batch_load::order;

constexpr workload kWorkloads[] = {
    timed("pair_16", "allocate and deallocate 16 bytes", 0, 10'000'000, pair<16>),
    timed("pair_64", "allocate and deallocate 64 bytes", 0, 10'000'000, pair<64>),
    timed("pair_256", "allocate and deallocate 256 bytes", 0, 10'000'000, pair<256>),
    timed("pair_1024", "allocate and deallocate 1024 bytes", 0, 10'000'000, pair<1024>),
    timed("pair_32k", "allocate and deallocate 32 KiB", 0, 5'000'000, pair<32768>),
    timed("pair_64_a64", "allocate and deallocate 64 bytes aligned to 64", 0, 10'000'000, pair<64, 64>),
    timed("pair_4k_a4k", "allocate and deallocate 4 KiB aligned to 4 KiB", 0, 5'000'000, pair<4096, 4096>),
    timed("batch10k_lifo", "one of 10,000 x 64 bytes allocated, then freed, the last first", 10'000, 5'000'000,
          batch<lifo>),
    timed("batch10k_fifo", "one of 10,000 x 64 bytes allocated, then freed, the first first", 10'000, 5'000'000,
          batch<fifo>),
    timed("batch10k_random", "one of 10,000 x 64 bytes allocated, then freed in random order", 10'000, 5'000'000,
          batch<random>),
    timed("batch1m_lifo", "one of 1,000,000 x 64 bytes allocated, then freed, the last first", 1'000'000, 2'500'000,
          batch<lifo>),
    timed("batch1m_fifo", "one of 1,000,000 x 64 bytes allocated, then freed, the first first", 1'000'000, 2'500'000,
          batch<fifo>),
    timed("batch1m_random", "one of 1,000,000 x 64 bytes allocated, then freed in random order", 1'000'000, 2'500'000,
          batch<random>),
    timed("churn_fixed64", "replace one of 1,000,000 blocks of 64 bytes", 1'000'000, 2'500'000, churn<64, 64>),
    timed("churn_small", "replace one of 100,000 blocks of 16 to 1024 bytes", 100'000, 5'000'000, churn<16, 1024>),
    timed("churn_large", "replace one of 5,000 blocks of 16 bytes to 64 KiB", 5'000, 2'500'000, churn<16, 65536>),
    timed("mt2_churn", "replace one of 1,000 blocks of 16 to 1024 bytes, 2 threads with such a set each", 1'000,
          10'000'000, threads_churn<2>, 2),
    timed("mt16_churn", "replace one of 1,000 blocks of 16 to 1024 bytes, 16 threads with such a set each", 1'000,
          10'000'000, threads_churn<16>, 16),
    timed("mt2_slots", "replace one of 10,000 blocks of 16 to 1024 bytes that 2 threads share", 10'000, 2'500'000,
          slots, 2),
    timed("prodcons_64", "one thread allocates 64 bytes, another deallocates them", 4'096, 2'500'000, prodcons<64, 64>,
          2),
    timed("prodcons_mix", "one thread allocates 16 to 1024 bytes, another deallocates them", 4'096, 2'500'000,
          prodcons<16, 1024>, 2),
    timed("list_queue", "push to the back of a pmr::list of 100 and pop from its front", 100, 10'000'000,
          container<list_queue_load>),
    timed("list_build", "one element of a pmr::list of 1,000,000, built and destroyed", 1'000'000, 2'500'000,
          container<list_build_load>),
    timed("map_random", "insert, find and erase random keys in a pmr::map of 1,000,000", 1'000'000, 250'000,
          container<map_random_load>),
    timed("umap_strings", "insert, find and erase in an unordered_map of 200,000 pmr::string of 24 to 104", 200'000,
          500'000, container<umap_strings_load>),
    timed("vector_strings", "one of 100,000 pmr::string of 24 to 104 in a growing vector, built and destroyed", 100'000,
          2'500'000, container<vector_strings_load>),
    timed("chase_1g", "read a random word of 1 GiB; each read says where the next is", std::size_t{1} << 30, 10'000'000,
          reads<reads_load::order::chased>),
    timed("reads_1g", "read a random word of 1 GiB; many reads at once", std::size_t{1} << 30, 20'000'000,
          reads<reads_load::order::independent>),
    {"memory_live",
     "resident / asked, the live set of churn_small",
     {"memory_live"},
     unit::ratio,
     1,
     100'000,
     1'000'000,
     nullptr,
     of_live<measure_live>},
    {"memory_refill",
     "resident / asked: 64 MiB of small blocks, nine in ten replaced by larger ones; then all freed and trimmed",
     {"memory_refill", "memory_empty"},
     unit::ratio,
     1,
     std::size_t{64} << 20,
     0,
     nullptr,
     of_live<measure_refill>},
    {"tail",
     "one allocation in churn_small: median, 99th and 99.9th percentile",
     {"tail_p50", "tail_p99", "tail_p99.9"},
     unit::cycles,
     1,
     100'000,
     2'000'000,
     nullptr,
     of_live<measure_tail>},
};

constexpr workload kShadow[] = {
    timed("life_64", "allocate 64 bytes, write the first, deallocate, with 10,000 others live", 10'000, 1'000'000,
          life),
    timed("server", "a request of five blocks: parse, decode a path, escape and check 16 KiB, log", 0, 10'000, server),
    timed("utility", "a line of a text of 2,000, read into a string, sorted and written", 2'000, 500'000,
          container<utility_load>),
    timed("tree", "a node of a binary tree of 10,000: built, added up, taken down", 10'000, 1'000'000,
          container<tree_load>),
    timed("churn", "churn_small: replace one of 100,000 blocks of 16 to 1024 bytes", 100'000, 5'000'000,
          churn<16, 1024>),
};

/// What mpbench does in so many threads, and the names of its figures.
struct in_threads {
  explicit in_threads(unsigned threads)
      : names{"mp" + std::to_string(threads)},
        what{names[0].c_str(),
             "one of 500 blocks of 1 to 512 bytes allocated, every second freed, 500 more; in the slowest thread",
             {},
             unit::nanoseconds,
             threads,
             750,
             10'000,
             nullptr,
             phases} {
    for (std::size_t i = 0; i < what.figures.size(); ++i) {
      names.at(i + 1) = names[0] + std::array{"_alloc", "_free", "_again", "_slowest"}.at(i);
      what.figures.at(i) = names.at(i + 1).c_str();
    }
  }
  in_threads(const in_threads&) = delete;  // what points to names
  in_threads& operator=(const in_threads&) = delete;

  std::array<std::string, 5> names;
  workload what;
};

const std::deque<in_threads>& all_phases() {
  static const auto all = [] {
    std::deque<in_threads> result;
    for (unsigned n = 1; n <= mpbench_most_threads; ++n) result.emplace_back(n);
    return result;
  }();
  return all;
}

constexpr workload kHoles{"holes",
                          "of 32 MiB in small blocks half are freed, larger ones come: held / live; of a segment also "
                          "what is lost to one block, "
                          "and the segment / live when it is full",
                          {"holes_held", "holes_lost", "holes_full"},
                          unit::ratio,
                          1,
                          segment_bytes / 2,
                          0,
                          nullptr,
                          holes};

}  // namespace

std::vector<const workload*> mpbench_workloads(unsigned threads) {
  std::vector<const workload*> result;
  for (unsigned n = 0; n < threads; ++n) result.push_back(&all_phases().at(n).what);
  result.push_back(&kHoles);
  return result;
}

std::span<const workload> workloads() noexcept { return kWorkloads; }

std::span<const workload> shadow_workloads() noexcept { return kShadow; }

const workload* find_workload(std::string_view name) noexcept {
  for (const std::span<const workload> among : {workloads(), shadow_workloads()}) {
    for (const workload& w : among) {
      if (w.name == name) return &w;
    }
  }
  for (const workload* w : mpbench_workloads(mpbench_most_threads)) {
    if (w->name == name) return w;
  }
  return nullptr;
}

}  // namespace bench
