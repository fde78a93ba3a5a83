// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <cstdint>
#include <memory_resource>

export module bench:pair;

import :workload;

/// Allocate and deallocate at once: the hottest path there is.
export namespace bench {

class pair_load final : public load {
 public:
  pair_load(std::pmr::memory_resource* memory, std::size_t bytes, std::size_t alignment)
      : memory_(opaque(memory)), bytes_(bytes), alignment_(alignment) {}

  void run(std::uint64_t operations) override;

 private:
  std::pmr::memory_resource* memory_;
  std::size_t bytes_;
  std::size_t alignment_;
};

}  // namespace bench
