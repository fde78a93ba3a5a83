// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <memory_resource>
#include <vector>

export module bench:containers;

import :random;
import :workload;

/// Standard containers of nodes at work.
export namespace bench {

/// A list as a queue that stays short: one operation pushes at its back and pops at its front.
class list_queue_load final : public load {
 public:
  list_queue_load(std::pmr::memory_resource* memory, std::size_t length);
  std::uint64_t run(std::uint64_t operations) override;

 private:
  std::pmr::list<std::uint64_t> queue_;
};

/// A long list that is built and destroyed: one operation is one of its elements.
class list_build_load final : public load {
 public:
  list_build_load(std::pmr::memory_resource* memory, std::size_t length) : memory_(opaque(memory)), length_(length) {}
  std::uint64_t run(std::uint64_t operations) override;

 private:
  std::pmr::memory_resource* memory_;
  std::size_t length_;
};

/// A large map: one operation inserts a random key, finds one that is there, and erases one.
class map_random_load final : public load {
 public:
  map_random_load(std::pmr::memory_resource* memory, std::size_t keys);
  std::uint64_t run(std::uint64_t operations) override;

 private:
  random_numbers random_{2};
  std::pmr::map<std::uint64_t, std::uint64_t> map_;
  std::vector<std::uint64_t> keys_;  // those in map_
};

}  // namespace bench
