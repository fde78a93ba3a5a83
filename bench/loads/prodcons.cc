// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory_resource>
#include <thread>
#include <vector>

module bench:prodcons.impl;

import :crew;
import :prodcons;
import :random;
import :workload;

namespace bench {
namespace {

/// Waits until the other thread has come so far; returns how far. The processor is yielded, the other may need it.
std::uint64_t wait_for(const std::atomic<std::uint64_t>& other, std::uint64_t least) {
  for (unsigned tries = 0;; ++tries) {
    const std::uint64_t now = other.load(std::memory_order_acquire);
    if (now >= least) return now;
    if (tries > 1000) std::this_thread::yield();
  }
}

}  // namespace

prodcons_load::prodcons_load(std::pmr::memory_resource* memory, std::size_t queue, std::size_t least, std::size_t most)
    : memory_(opaque(memory)), sizes_(least, most), queue_(queue) {}

std::uint64_t prodcons_load::run(std::uint64_t operations) {
  crew_.run([&](std::size_t i) { i == 0 ? produce(operations) : consume(operations); });
  return operations;
}

// Each side publishes how far it is once in 32 blocks, so that the queue itself costs little.
void prodcons_load::produce(std::uint64_t operations) {
  std::uint64_t at = written_.load(std::memory_order_relaxed);
  std::uint64_t taken = at;
  for (const std::uint64_t end = at + operations; at != end;) {
    if (at - taken == queue_.size()) taken = wait_for(read_, at - queue_.size() + 1);
    const std::size_t bytes = sizes_.pick(random_);
    void* const p = memory_->allocate(bytes, any_size_alignment);
    touch(p, bytes);
    queue_[at++ % queue_.size()] = {p, bytes};
    if (at % 32 == 0 || at == end) written_.store(at, std::memory_order_release);
  }
}

void prodcons_load::consume(std::uint64_t operations) {
  std::uint64_t at = read_.load(std::memory_order_relaxed);
  std::uint64_t there = at;
  for (const std::uint64_t end = at + operations; at != end;) {
    if (at == there) there = wait_for(written_, at + 1);
    const block b = queue_[at++ % queue_.size()];
    memory_->deallocate(b.at, b.bytes, any_size_alignment);
    if (at % 32 == 0 || at == end) read_.store(at, std::memory_order_release);
  }
}

}  // namespace bench
