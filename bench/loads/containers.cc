// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <memory_resource>
#include <vector>

module bench:containers.impl;

import :containers;
import :random;
import :workload;

namespace bench {

list_queue_load::list_queue_load(std::pmr::memory_resource* memory, std::size_t length)
    : queue_(length, 0, opaque(memory)) {}

std::uint64_t list_queue_load::run(std::uint64_t operations) {
  for (std::uint64_t i = 0; i < operations; ++i) {
    queue_.push_back(i);
    queue_.pop_front();
  }
  return operations;
}

std::uint64_t list_build_load::run(std::uint64_t operations) {
  std::uint64_t done = 0;
  do {
    std::pmr::list<std::uint64_t> built(memory_);
    for (std::size_t i = 0; i < length_; ++i) built.push_back(i);
    done += length_;
  } while (done < operations);
  return done;
}

map_random_load::map_random_load(std::pmr::memory_resource* memory, std::size_t keys)
    : map_(opaque(memory)), keys_(keys) {
  for (std::uint64_t& key : keys_) {
    key = random_.next();
    map_[key] = key;
  }
}

std::uint64_t map_random_load::run(std::uint64_t operations) {
  for (std::uint64_t i = 0; i < operations; ++i) {
    const std::uint64_t key = random_.next();
    map_.emplace(key, i);
    // The generator visits a number once in 2^64 steps: no key is in the map twice, and those in keys_ are there.
    ++map_.find(keys_[random_.below(keys_.size())])->second;
    std::uint64_t& old = keys_[random_.below(keys_.size())];
    map_.erase(old);
    old = key;
  }
  return operations;
}

}  // namespace bench
