// SPDX-License-Identifier: Apache-2.0
module;
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <memory_resource>
#include <new>
#include <vector>

module bench:threads.impl;

import :churn;
import :crew;
import :random;
import :threads;
import :workload;

namespace bench {

threads_churn_load::threads_churn_load(std::pmr::memory_resource* memory, std::size_t threads, std::size_t live,
                                       std::size_t least, std::size_t most)
    : loads_(threads), crew_(threads) {
  crew_.run([&](std::size_t i) { loads_[i] = std::make_unique<churn_load>(memory, live, least, most, i + 1); });
}

threads_churn_load::~threads_churn_load() {
  crew_.run([this](std::size_t i) { loads_[i].reset(); });
}

std::uint64_t threads_churn_load::run(std::uint64_t operations) {
  const std::uint64_t each = (operations + loads_.size() - 1) / loads_.size();
  crew_.run([&](std::size_t i) { loads_[i]->run(each); });
  return each * loads_.size();
}

slots_load::slots_load(std::pmr::memory_resource* memory, std::size_t threads, std::size_t slots, std::size_t least,
                       std::size_t most)
    : memory_(opaque(memory)), sizes_(least, most), slots_(slots), crew_(threads) {
  for (std::size_t i = 0; i < threads; ++i) random_.emplace_back(i + 1);
  for (auto& slot : slots_) slot.store(allocate(random_[0]), std::memory_order_relaxed);
}

slots_load::~slots_load() {
  for (auto& slot : slots_) {
    header* const last = slot.load(std::memory_order_relaxed);
    memory_->deallocate(last, last->bytes, any_size_alignment);
  }
}

std::uint64_t slots_load::run(std::uint64_t operations) {
  const std::uint64_t each = (operations + crew_.size() - 1) / crew_.size();
  crew_.run([&](std::size_t thread) {
    random_numbers random = random_[thread];  // on this thread's own cache lines
    for (std::uint64_t i = 0; i < each; ++i) {
      auto& slot = slots_[random.below(slots_.size())];
      header* const old = slot.exchange(allocate(random), std::memory_order_acq_rel);
      memory_->deallocate(old, old->bytes, any_size_alignment);
    }
    random_[thread] = random;
  });
  return each * crew_.size();
}

inline slots_load::header* slots_load::allocate(random_numbers& random) {
  const std::size_t bytes = sizes_.pick(random);
  void* const at = memory_->allocate(bytes, any_size_alignment);
  touch(at, bytes);
  return ::new (at) header{bytes};
}

}  // namespace bench
