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

/// Standard containers at work.
export namespace bench {

/// A list as a queue that stays short: one operation pushes at its back and pops at its front.
class list_queue_load final : public load {
 public:
  list_queue_load(std::pmr::memory_resource* memory, std::size_t length);
  void run(std::uint64_t operations) override;

 private:
  std::pmr::list<std::uint64_t> queue_;
};

/// A large map: one operation inserts a random key, finds one that is there, and erases one.
class map_random_load final : public load {
 public:
  map_random_load(std::pmr::memory_resource* memory, std::size_t keys);
  void run(std::uint64_t operations) override;

 private:
  random_numbers random_{2};
  std::pmr::map<std::uint64_t, std::uint64_t> map_;
  std::vector<std::uint64_t> keys_;  // those in map_
};

}  // namespace bench
