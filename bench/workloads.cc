// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <memory>
#include <memory_resource>
#include <span>

module bench:workloads.impl;

import :churn;
import :containers;
import :pair;
import :workload;
import :workloads;

namespace bench {
namespace {

using std::pmr::memory_resource;

template <std::size_t Bytes, std::size_t Alignment = alignof(std::max_align_t)>
std::unique_ptr<load> pair(memory_resource* memory) {
  return std::make_unique<pair_load>(memory, Bytes, Alignment);
}

template <std::size_t Live, std::size_t Least, std::size_t Most>
std::unique_ptr<load> churn(memory_resource* memory) {
  return std::make_unique<churn_load>(memory, Live, Least, Most);
}

template <class Load, std::size_t Size>
std::unique_ptr<load> sized(memory_resource* memory) {
  return std::make_unique<Load>(memory, Size);
}

constexpr workload kShort[] = {
    {"pair_16", "allocate and deallocate 16 bytes", 2'000'000, pair<16>},
    {"pair_64", "allocate and deallocate 64 bytes", 2'000'000, pair<64>},
    {"pair_256", "allocate and deallocate 256 bytes", 2'000'000, pair<256>},
    {"pair_1024", "allocate and deallocate 1024 bytes", 2'000'000, pair<1024>},
    {"pair_32k", "allocate and deallocate 32 KiB", 2'000'000, pair<32768>},
    {"churn_small", "replace one of 100,000 blocks of 16 to 1024 bytes", 1'000'000, churn<100'000, 16, 1024>},
    {"churn_large", "replace one of 5,000 blocks of 16 bytes to 64 KiB", 500'000, churn<5'000, 16, 65536>},
    {"list_queue", "push to and pop from a pmr::list", 2'000'000, sized<list_queue_load, 100>},
    {"map_random", "insert, find and erase in a pmr::map of 250,000", 200'000, sized<map_random_load, 250'000>},
};

}  // namespace

std::span<const workload> short_workloads() noexcept { return kShort; }

}  // namespace bench
