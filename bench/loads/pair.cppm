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
  /// Throws cannot where blocks do not come aligned.
  pair_load(std::pmr::memory_resource* memory, std::size_t bytes, std::size_t alignment);

  std::uint64_t run(std::uint64_t operations) override;

 private:
  std::pmr::memory_resource* memory_;
  std::size_t bytes_;
  std::size_t alignment_;
};

}  // namespace bench
