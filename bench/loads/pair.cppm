// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <cstdint>
#include <memory_resource>
#include <vector>

export module bench:pair;

import :workload;

/// Allocate and deallocate at once: the hottest path there is.
export namespace bench {

class pair_load final : public load {
 public:
  /// Throws cannot where blocks do not come aligned.
  pair_load(std::pmr::memory_resource* memory, std::size_t bytes, std::size_t alignment);

  std::uint64_t run(std::uint64_t operations) override;

 private:
  std::pmr::memory_resource* memory_;
  std::size_t bytes_;
  std::size_t alignment_;
};

/// The life of one block among others that live on: allocated, its first byte written, deallocated.
class life_load final : public load {
 public:
  life_load(std::pmr::memory_resource* memory, std::size_t others, std::size_t bytes);
  ~life_load() override;

  std::uint64_t run(std::uint64_t operations) override;

 private:
  std::pmr::memory_resource* memory_;
  std::size_t bytes_;
  std::vector<void*> others_;
};

}  // namespace bench
